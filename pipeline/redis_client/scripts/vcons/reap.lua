#!lua flags=allow-oom
-- Remove the index entries of vCons that have expired, and second members of the others: other programs
-- write `vcon:UUID`, and one member for each vCon is enough.
-- ARGV: sorted set, the maximum number of due uuids to check, further uuids to check...
-- Returns how many were due.
-- uses: usable, place, index
local now = tonumber(redis.call('TIME')[1])
local wrong = wrong_type('zset', 'pc:expiring')
if wrong then
  return redis.error_reply(wrong)
end
local looked_at = redis.call('ZRANGEBYSCORE', 'pc:expiring', '-inf', now, 'LIMIT', 0, ARGV[2])
local due = #looked_at
for i = 3, #ARGV do
  looked_at[#looked_at + 1] = ARGV[i]
end
for _, uuid in ipairs(looked_at) do
  local left, about = redis.call('TTL', 'vcon:' .. uuid), 'pc:about:' .. uuid
  if left >= 0 then
    redis.call('ZADD', 'pc:expiring', now + math.max(left, 1), uuid)
  else
    redis.call('ZREM', 'pc:expiring', uuid)
  end
  if left == -2 then
    unindex(uuid)
    if_usable('zset', 'ZREM', ARGV[1], uuid, 'vcon:' .. uuid)
    if_usable('hash', 'DEL', about)
    if_usable('string', 'DEL', 'pc:signed:' .. uuid)
  elseif is('zset', ARGV[1]) and redis.call('ZSCORE', ARGV[1], uuid) then
    redis.call('ZREM', ARGV[1], 'vcon:' .. uuid)
  end
end
return due
