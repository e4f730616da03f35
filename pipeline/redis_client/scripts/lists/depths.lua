-- The lengths of lists, and the keys whose type this service cannot use.
-- ARGV: n lists, lists..., then type and name of each other key to check.
-- Returns {length, number of suspects, error or ""} for each list and {error or ""} for each other
-- key. A list is unusable, too, when a key that belongs to it has another type.
-- uses: usable
local n, found = tonumber(ARGV[1]), {}
for i = 2, 1 + n do
  local list = ARGV[i]
  local aside = 'pc:suspects:' .. list
  local wrong = wrong_type('list', list, aside)
    or wrong_type('hash', 'pc:attempts:' .. list, 'pc:dead:' .. list)
    or wrong_type('zset', 'pc:lease:' .. list) or wrong_type('set', 'pc:unread:' .. list)
  found[#found + 1] = {
    if_usable('list', 'LLEN', list), if_usable('list', 'LLEN', aside), wrong or ''
  }
end
for i = 2 + n, #ARGV, 2 do
  found[#found + 1] = {wrong_type(ARGV[i], ARGV[i + 1]) or ''}
end
return found
