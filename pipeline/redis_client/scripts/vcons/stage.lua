#!lua
-- Write the first text of a large document under a key of its own, see
-- `pipeline/redis_client/staging.py`.
-- ARGV: the key, a line break and the cuts that free it; the first text; seconds until it is removed
--       unless a script has put it in place.
-- uses: usable
local key = string.match(ARGV[1], '^[^\n]*')
local wrong = wrong_type('zset', 'pc:trash') or wrong_type(JSON, key)
if wrong then
  return redis.error_reply(wrong)
end
redis.call('JSON.SET', key, '$', ARGV[2])
redis.call('EXPIRE', key, 2 * ARGV[3])
redis.call('ZADD', 'pc:trash', redis.call('TIME')[1] + ARGV[3], ARGV[1])
return 1
