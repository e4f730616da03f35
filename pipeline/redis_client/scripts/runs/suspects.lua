-- How many suspects wait for a process of their own. ARGV: lists...
--
-- Those that no claim has moved aside yet are still at the heads of their lists: of these only the
-- first is counted, which is enough to know that there are some.
-- uses: usable, is_suspect
local count = 0
for _, list in ipairs(ARGV) do
  count = count + if_usable('list', 'LLEN', 'pc:suspects:' .. list)
  local head = is('list', list) and redis.call('LINDEX', list, 0)
  if head and is('hash', 'pc:attempts:' .. list) and is_suspect(list, head) then
    count = count + 1
  end
end
return count
