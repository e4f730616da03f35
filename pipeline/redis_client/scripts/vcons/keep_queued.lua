#!lua flags=allow-oom
-- What stands in a list must not expire, whoever put it there or gave it a time to live. What was
-- moved aside to pc:suspects:{list} counts as standing in that list.
-- ARGV: list, register of what we put there ("" for an ingress list), first, last.
-- Returns how many entries were looked at.
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
    -- it would have gone: from now on this list is among those who need it
    if_usable('set', 'SADD', 'pc:holds:' .. uuid, hold)
    if dead then
      redis.call('HSETNX', register, uuid, '{}')
    elseif register ~= '' then
      redis.call('SADD', register, uuid)
    end
  end
end
return #elements
