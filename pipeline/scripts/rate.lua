-- Count one request of an ingress key, if it is within its limit.
-- ARGV: lineage of the key, requests allowed in a window, milliseconds of the window.
-- Returns 0, or the milliseconds until there is room again; what is refused is not counted.
-- A sliding window: the time of each request that was let in. Redis' own clock, so that all
-- replicas agree.
local key, limit, window = 'pc:rate:' .. ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
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
