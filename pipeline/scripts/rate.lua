-- Count one request of an ingress key, if it is within its limit.
-- ARGV: lineage of the key, requests allowed in a window, milliseconds of the window.
-- Returns 0, or the milliseconds until there is room again; what is refused is not counted.
-- A sliding window: the time of each request that was let in. Redis' own clock, so that all
-- replicas agree.
-- uses: usable, clock
local key, limit, window = 'pc:rate:' .. ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now = now_ms()
local wrong = wrong_type('zset', key) or wrong_type('string', key .. ':n')
if wrong then
  return redis.error_reply(wrong)
end
redis.call('ZREMRANGEBYSCORE', key, '-inf', now - window)
if redis.call('ZCARD', key) >= limit then
  local oldest = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  return math.max(1, oldest[2] + window - now)
end
local number = redis.call('INCR', key .. ':n')
redis.call('ZADD', key, now, number)
redis.call('PEXPIRE', key, window)
redis.call('PEXPIRE', key .. ':n', window)
return 0
