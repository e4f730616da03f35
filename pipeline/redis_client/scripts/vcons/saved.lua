#!lua flags=allow-oom
-- Note that a storage has this vCon, though no run wrote it there.
-- ARGV: uuid, vCon expiry (s), the note for the index (JSON).
-- Returns 1; 0 when the vCon was erased, and nothing changes.
-- uses: usable, clock, let_go, index_note, erased
if is_erased(ARGV[1]) then
  return 0
end
note_saved(ARGV[1])
note_for_index(ARGV[1], ARGV[3])
let_go(ARGV[1], ARGV[2])
return 1
