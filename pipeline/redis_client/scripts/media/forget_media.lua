#!lua flags=allow-oom
-- Take a vCon that has no media any more out of pc:media, or register it for another second, unless a
-- writer has registered it since.
-- ARGV: uuid, the second for which it was registered, the other second or "".
-- uses: usable
local wrong = wrong_type('zset', 'pc:media')
if wrong then
  return redis.error_reply(wrong)
end
if redis.call('ZSCORE', 'pc:media', ARGV[1]) ~= ARGV[2] then
  return 0
end
if ARGV[3] == '' then
  return redis.call('ZREM', 'pc:media', ARGV[1])
end
redis.call('ZADD', 'pc:media', ARGV[3], ARGV[1])
return 1
