#!lua flags=allow-oom
-- Take one copy of an erased vCon out of an egress list, for the caller to count: what is no longer there
-- was taken by a reader.
-- ARGV: list, uuid, position from the tail (parts/take_at.lua).
-- Returns 1; 0 if it is not there, or if a reader's lease of it has ended, which has put it back.
-- uses: usable, clear_missing, take_at
local list, uuid = ARGV[1], ARGV[2]
if if_usable('hash', 'HEXISTS', 'pc:about:' .. uuid, 'lent:' .. list) == 1 then
  return 0
end
local at = is('list', list) and find_at(list, uuid, ARGV[3])
if not at then
  return 0
end
take_at(list, uuid, at)
return 1
