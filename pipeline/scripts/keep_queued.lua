#!lua flags=allow-oom
-- What stands in a list must not expire, whoever put it there or gave it a time to live. What was
-- moved aside to pc:suspects:{list} counts as standing in that list.
-- ARGV: list, register of what we put there ("" for an ingress list), first, last.
-- Returns how many entries were looked at.
local list, register = ARGV[1], ARGV[2]
local elements = redis.call('LRANGE', list, ARGV[3], ARGV[4])
list = string.match(list, '^pc:suspects:(.*)$') or list
for _, element in ipairs(elements) do
  local uuid, run = string.match(element, '^(.-)|(.*)$')
  uuid = uuid or element
  if redis.call('PERSIST', 'vcon:' .. uuid) == 1 then
    -- it would have gone: from now on this list is among those who need it
    redis.call('SADD', 'pc:holds:' .. uuid, run and (list .. '|' .. run) or list)
    if string.sub(list, 1, 4) == 'DLQ:' then
      redis.call('HSETNX', register, uuid, '{}')
    elseif register ~= '' then
      redis.call('SADD', register, uuid)
    end
  end
end
return #elements
