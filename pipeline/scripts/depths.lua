-- How long lists are, and which keys have a type that this service cannot use.
-- ARGV: n lists, lists..., then type and name of each other key to look at.
-- Returns {{length, error or ""} for each list, {error or ""} for each other key}; a list is unusable
-- also when what is written down beside it has another type.
-- uses: usable
local n, depths = tonumber(ARGV[1]), {}
for i = 2, 1 + n do
  local list = ARGV[i]
  local wrong = wrong_type('list', list)
    or wrong_type('hash', 'pc:attempts:' .. list, 'pc:dead:' .. list)
    or wrong_type('zset', 'pc:lease:' .. list) or wrong_type('set', 'pc:unread:' .. list)
  depths[#depths + 1] = {if_usable('list', 'LLEN', list), wrong or ''}
end
for i = 2 + n, #ARGV, 2 do
  depths[#depths + 1] = {wrong_type(ARGV[i], ARGV[i + 1]) or ''}
end
return depths
