-- The number of suspects that a suspect worker could claim; 1 or more if there are any.
-- ARGV: replica or "", lists... Each list is followed by `:` and its chain, on a line of its own.
--
-- Suspects that no claim has moved to pc:suspects:{list} yet are at the heads of their lists: only the
-- first of each list is counted.
-- uses: usable, clock, is_suspect, paused
local count, now = 0, now_ms()
if ARGV[1] ~= '' and entries_of('pc:drained', now)(ARGV[1]) then
  return 0
end
local function count_of(list)
  local aside = if_usable('list', 'LLEN', 'pc:suspects:' .. list)
  local head = is('list', list) and redis.call('LINDEX', list, 0)
  if head and is('hash', 'pc:attempts:' .. list) and is_suspect(list, head) then
    return aside + 1
  end
  return aside
end
local is_paused = entries_of('pc:paused', now)
for i = 2, #ARGV do
  local list, chain = string.match(ARGV[i], '^(.-)\n:(.*)$')
  if not is_paused(chain) then
    count = count + count_of(list)
  end
end
return count
