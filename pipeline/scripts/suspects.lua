-- How many suspects wait for a process of their own. ARGV: lists...
--
-- Those that no claim has moved aside yet are still at the heads of their lists: of these only the
-- first is counted, which is enough to know that there are some.
-- uses: is_suspect
local count = 0
for _, list in ipairs(ARGV) do
  count = count + redis.call('LLEN', 'pc:suspects:' .. list)
  local head = redis.call('LINDEX', list, 0)
  if head and is_suspect(list, head) then
    count = count + 1
  end
end
return count
