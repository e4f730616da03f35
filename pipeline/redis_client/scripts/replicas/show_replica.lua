-- Register a replica's role for the other replicas of its service, or remove it.
-- ARGV: register, replica, role ('serving', 'leaving' or 'gone'), seconds until it counts as dead.
-- Returns the number of other serving replicas, and that of other leaving ones.
-- uses: usable
local register, replica, role, seconds = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local wrong = wrong_type('zset', register)
if wrong then
  return redis.error_reply(wrong)
end
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
redis.call('ZREMRANGEBYSCORE', register, '-inf', now)
redis.call('ZREM', register, 'serving:' .. replica, 'leaving:' .. replica)
local serving, leaving = 0, 0
for _, other in ipairs(redis.call('ZRANGE', register, 0, -1)) do
  if string.sub(other, 1, 8) == 'serving:' then
    serving = serving + 1
  else
    leaving = leaving + 1
  end
end
if role ~= 'gone' then
  redis.call('ZADD', register, now + seconds, role .. ':' .. replica)
  local last = redis.call('ZRANGE', register, -1, -1, 'WITHSCORES')
  redis.call('EXPIRE', register, math.ceil(last[2] - now) + 1)
end
return {serving, leaving}
