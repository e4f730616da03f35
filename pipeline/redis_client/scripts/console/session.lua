-- Record a session of the console; beyond the most sessions those that end first are ended.
-- ARGV: digest of the cookie's secret, session (JSON), idle seconds, seconds until it ends, most.
-- Returns the number of sessions.
-- uses: usable, clock
local digest, session, idle, length, most =
  ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local key, register = 'pc:session:' .. digest, 'pc:sessions'
local wrong = wrong_type('string', key) or wrong_type('zset', register)
if wrong then
  return redis.error_reply(wrong)
end
local now = now_ms()
redis.call('ZREMRANGEBYSCORE', register, '-inf', now)
redis.call('SET', key, session, 'EX', math.min(idle, length))
redis.call('ZADD', register, now + length * 1000, digest)
redis.call('EXPIRE', register, length)
local over = redis.call('ZCARD', register) - most
if over > 0 then
  for _, oldest in ipairs(redis.call('ZRANGE', register, 0, over - 1)) do
    if_usable('string', 'DEL', 'pc:session:' .. oldest)
  end
  redis.call('ZREMRANGEBYRANK', register, 0, over - 1)
end
return redis.call('ZCARD', register)
