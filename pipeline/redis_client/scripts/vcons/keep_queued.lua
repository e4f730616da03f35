#!lua flags=allow-oom
-- Keep the vCons in a slice of a list from expiring, also those that other programs have queued.
-- Elements in pc:suspects:{list} count as elements of that list.
-- ARGV: list, register of the uuids that this service put there ("" for an ingress list), first, last.
-- Returns the number of entries read.
-- uses: usable, element
local list, register = ARGV[1], ARGV[2]
local dead = string.sub(list, 1, 4) == 'DLQ:'
local wrong = wrong_type('list', list)
if register ~= '' then
  wrong = wrong or wrong_type(dead and 'hash' or 'set', register)
end
if wrong then
  return redis.error_reply(wrong)
end
local elements = redis.call('LRANGE', list, ARGV[3], ARGV[4])
list = string.match(list, '^pc:suspects:(.*)$') or list
for _, element in ipairs(elements) do
  local uuid, _, hold = split(list, element)
  if redis.call('PERSIST', 'vcon:' .. uuid) == 1 then
    -- it would have expired: note the list's hold
    if_usable('set', 'SADD', 'pc:holds:' .. uuid, hold)
    if dead then
      redis.call('HSETNX', register, uuid, '{}')
    elseif register ~= '' then
      redis.call('SADD', register, uuid)
    end
  end
end
return #elements
