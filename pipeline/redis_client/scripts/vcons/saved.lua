#!lua flags=allow-oom
-- A storage has this vCon now, though no run put it there.
-- ARGV: uuid, vCon expiry (s).
-- uses: usable, let_go
note_saved(ARGV[1])
let_go(ARGV[1], ARGV[2])
return 1
