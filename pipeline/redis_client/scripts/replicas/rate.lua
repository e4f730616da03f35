-- Count one request of an ingress key, if the key is within its limit.
-- ARGV: key lineage, requests allowed in a window, length of the window (ms).
-- Returns 0, or the milliseconds until a request is allowed again; a refused one is not counted.
-- A sliding window with the time of each accepted request, by Redis' clock, which all replicas share.
-- uses: usable, clock
local key, limit, window = 'pc:rate:' .. ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local now = now_ms()
local wrong = wrong_type('zset', key) or wrong_type('string', key .. ':n')
if wrong then
  return redis.error_reply(wrong)
end
-- Requests before the window are not counted, and are removed up to 500 at a time.
local within = redis.call('ZCOUNT', key, '(' .. now - window, '+inf')
local over = math.min(redis.call('ZCARD', key) - within, 500)
if over > 0 then
  redis.call('ZREMRANGEBYRANK', key, 0, over - 1)
end
if within >= limit then
  local oldest =
    redis.call('ZRANGEBYSCORE', key, '(' .. now - window, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  return math.max(1, oldest[2] + window - now)
end
local number = redis.call('INCR', key .. ':n')
redis.call('ZADD', key, now, number)
redis.call('PEXPIRE', key, window)
redis.call('PEXPIRE', key .. ':n', window)
return 0
