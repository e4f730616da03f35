#!lua flags=allow-oom
-- Note that a storage has this vCon, though no run wrote it there.
-- ARGV: uuid, vCon expiry (s), the note for the index (JSON).
-- uses: usable, clock, let_go, index_note
note_saved(ARGV[1])
note_for_index(ARGV[1], ARGV[3])
let_go(ARGV[1], ARGV[2])
return 1
