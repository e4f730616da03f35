#!lua flags=allow-oom
-- vCons whose media are to be looked at now. Each is registered for a later look, should the caller die.
-- ARGV: the maximum number, seconds until the next look.
-- Returns the second of that look, and the uuids.
-- uses: usable
local wrong = wrong_type('zset', 'pc:media')
if wrong then
  return redis.error_reply(wrong)
end
local now = tonumber(redis.call('TIME')[1])
local later = string.format('%d', now + ARGV[2])
local due = redis.call('ZRANGE', 'pc:media', '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])
for _, uuid in ipairs(due) do
  redis.call('ZADD', 'pc:media', later, uuid)
end
return {later, unpack(due)}
