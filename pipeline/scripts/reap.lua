#!lua flags=allow-oom
-- Forget the index entries of vCons that are gone.
-- ARGV: sorted set, how many of those due to look at, uuids of others to look at...
-- Returns how many were due.
local now = tonumber(redis.call('TIME')[1])
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
    for _, index in ipairs(cjson.decode(redis.call('HGET', about, 'index') or '[]')) do
      redis.call('SREM', index, uuid)
    end
    redis.call('ZREM', ARGV[1], uuid, 'vcon:' .. uuid)
    redis.call('DEL', about)
  end
end
return due
