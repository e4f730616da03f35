-- How long lists are, and which keys have a type that this service cannot use.
-- ARGV: n lists, lists..., then type and name of each other key to look at.
-- Returns {length, length of what was moved aside, error or ""} for each list and {error or ""} for
-- each other key. A list is unusable, too, when what stands beside it has another type.
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
