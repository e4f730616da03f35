#!lua
-- Bring a vCon back from a storage, unless there is one already.
-- ARGV: uuid, document, expiry (s, 0 keeps it). Returns 1, or 0 when there was one.
local key = 'vcon:' .. ARGV[1]
if redis.call('EXISTS', key) == 1 then
  return 0
end
redis.call('JSON.SET', key, '.', ARGV[2])
if tonumber(ARGV[3]) > 0 then
  redis.call('EXPIRE', key, ARGV[3])
end
return 1
