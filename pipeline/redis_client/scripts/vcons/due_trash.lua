#!lua flags=allow-oom
-- Members of pc:trash that are due. They become due again after a minute, should the caller die.
-- ARGV: the maximum number.
-- uses: usable
local wrong = wrong_type('zset', 'pc:trash')
if wrong then
  return redis.error_reply(wrong)
end
local now = tonumber(redis.call('TIME')[1])
local due = redis.call('ZRANGE', 'pc:trash', '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])
for _, member in ipairs(due) do
  redis.call('ZADD', 'pc:trash', now + 60, member)
end
return due
