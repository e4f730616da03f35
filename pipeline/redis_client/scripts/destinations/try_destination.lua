#!lua flags=allow-oom
-- Let one run try a destination whose breaker is open at once.
-- ARGV: destination, now (ms; "" is Redis' clock).
-- Returns {ms for which it would still have been open, or -1 if it is closed, runs that wait}.
-- uses: usable, clock, destination
local now = ARGV[2] ~= '' and tonumber(ARGV[2]) or now_ms()
local keys, wrong = destination_keys(ARGV[1])
if wrong then
  return redis.error_reply(wrong)
end
local state, _, parked = unpack(keys)
local open, waiting = tonumber(redis.call('HGET', state, 'open')), redis.call('ZCARD', parked)
if not open then
  return {-1, waiting}
end
redis.call('HSET', state, 'open', math.min(open, now), 'times', 0)
bring_all_back(parked, now, 1, 1, 0)
return {math.max(0, open - now), waiting}
