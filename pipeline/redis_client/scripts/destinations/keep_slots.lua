#!lua flags=allow-oom
-- Renew the leases of slots that are still held; one that has run out stays out.
-- ARGV: destination, now (ms; "" is Redis' clock), lease (ms), holders...
-- Returns how many are held.
-- uses: usable, clock, destination
local now = ARGV[2] ~= '' and tonumber(ARGV[2]) or now_ms()
local keys, wrong = destination_keys(ARGV[1])
if wrong then
  return redis.error_reply(wrong)
end
local held = 0
for i = 4, #ARGV do
  if redis.call('ZSCORE', keys[2], ARGV[i]) then
    redis.call('ZADD', keys[2], 'GT', now + ARGV[3], ARGV[i])
    held = held + 1
  end
end
return held
