#!lua
-- Begin a document beside its place.
-- ARGV: what `pipeline/redis_client/staging.py` calls it (its key, a line break, how it is freed), its first text,
--       after how many seconds it is removed unless it is in its place.
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
