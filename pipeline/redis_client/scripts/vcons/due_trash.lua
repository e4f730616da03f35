#!lua flags=allow-oom
-- What is to be removed by now. Who takes it has a minute before another replica tries, too.
-- ARGV: how many at most.
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
