-- The number of suspects that wait for a suspect worker; 1 or more if there are any. ARGV: lists...
--
-- Suspects that no claim has moved to pc:suspects:{list} yet are at the heads of their lists: only the
-- first of each list is counted.
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
