#!lua flags=allow-oom
-- A plugin repeats a request within one call: the repeat counts in the rate of the destination.
-- ARGV: destination, now (ms; "" is Redis' clock), ms between two calls, longest wait (ms).
-- Returns the ms to wait before the repeat.
-- uses: usable, clock, destination
local now, interval = ARGV[2] ~= '' and tonumber(ARGV[2]) or now_ms(), tonumber(ARGV[3])
local keys, wrong = destination_keys(ARGV[1])
if wrong then
  return redis.error_reply(wrong)
end
local start = tonumber(redis.call('HGET', keys[1], 'start')) or 0
local begin = math.min(math.max(now, start + interval), now + ARGV[4])
redis.call('HSET', keys[1], 'start', string.format('%.3f', begin))
return math.ceil(begin - now)
