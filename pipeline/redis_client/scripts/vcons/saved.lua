#!lua flags=allow-oom
-- Note that a storage has this vCon, though no run wrote it there.
-- ARGV: uuid, vCon expiry (s).
-- uses: usable, let_go
note_saved(ARGV[1])
let_go(ARGV[1], ARGV[2])
return 1
