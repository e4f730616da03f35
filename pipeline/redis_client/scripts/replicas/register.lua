#!lua flags=allow-oom
-- Write a process's sign of life, or remove it. ARGV: id, ms until it counts as ended (0: remove it
-- now), then field and value...
-- Each call also removes some ids of ended processes.
-- uses: usable, clock
local id, ms = ARGV[1], tonumber(ARGV[2])
local key = 'pc:process:' .. id
local wrong = wrong_type('set', 'pc:processes') or wrong_type('hash', key)
if wrong then
  return redis.error_reply(wrong)
end
local AT_ONCE = 20 -- ids looked at in one call
redis.call('DEL', key)
if ms == 0 then
  redis.call('SREM', 'pc:processes', id)
else
  local now = string.format('%.0f', now_ms())
  redis.call('HSET', key, 'seen', now, unpack(ARGV, 3))
  redis.call('PEXPIRE', key, ms)
  redis.call('SADD', 'pc:processes', id)
end
for _, other in ipairs(redis.call('SRANDMEMBER', 'pc:processes', AT_ONCE)) do
  if redis.call('EXISTS', 'pc:process:' .. other) == 0 then
    redis.call('SREM', 'pc:processes', other)
  end
end
return 1
