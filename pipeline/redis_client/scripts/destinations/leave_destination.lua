#!lua flags=allow-oom
-- End a call of a destination: its slot, what it tells of the destination, and the next parked runs.
-- ARGV: destination, holder, place of its run or "", now (ms; "" is Redis' clock), "ok" | "failed" |
--       "neither" (the call tells nothing of the destination), ms that it took, calls at once or 0, ms
--       between two calls or 0, failures that open the breaker or 0, ms for which it opens at first, at
--       most, error, now in ISO 8601.
-- Returns {change, ms, failures}: "opened" and "reopened" with the ms for which it is open, "closed",
-- "" if nothing changed, or "open" if another call has opened it. A failed run with a place is among
-- the parked ones if the breaker is open then; ms is the time until its turn.
-- uses: usable, clock, destination
local name, holder, place = ARGV[1], ARGV[2], ARGV[3]
local now = ARGV[4] ~= '' and tonumber(ARGV[4]) or now_ms()
local outcome, took, most, interval = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local allowed, first, longest = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
local keys, wrong = destination_keys(name)
if wrong then
  return redis.error_reply(wrong)
end
local state, slots, parked = unpack(keys)
local held = redis.call('ZREM', slots, holder) == 1
local open, probe, mean, failures, times =
  unpack(redis.call('HMGET', state, 'open', 'probe', 'mean', 'failures', 'times'))
open, mean = tonumber(open) or 0, tonumber(mean) or MEAN
failures, times = tonumber(failures) or 0, tonumber(times) or 0
local change, is_probe = '', probe == holder

if held and outcome ~= 'neither' then
  mean = mean + (took - mean) / 5
  redis.call('HSET', state, 'mean', string.format('%.1f', mean))
end
if is_probe then
  redis.call('HDEL', state, 'probe')
end
if held and allowed > 0 and outcome == 'ok' then
  if is_probe and open > 0 then
    redis.call('HDEL', state, 'open', 'times', 'failures')
    redis.call('HSET', state, 'since', ARGV[13])
    open, change = 0, 'closed'
  elseif open == 0 and failures > 0 then
    redis.call('HDEL', state, 'failures')
  end
elseif held and allowed > 0 and outcome == 'failed' then
  failures = redis.call('HINCRBY', state, 'failures', 1)
  redis.call('HSET', state, 'error', ARGV[12], 'failed_at', ARGV[13])
  if is_probe and open > 0 then
    times, change = times + 1, 'reopened'
  elseif open == 0 and failures >= allowed then
    times, change = 0, 'opened'
  end
  if change ~= '' then
    open = math.ceil(now + math.min(longest, first * 2 ^ math.min(times, 30)))
    redis.call('HSET', state, 'open', open, 'times', times)
    if change == 'opened' then
      redis.call('HSET', state, 'since', ARGV[13])
    end
  end
end

redis.call('PEXPIRE', state, KEPT)

local wait = 0
if outcome == 'failed' and allowed > 0 and open > 0 then
  change = change == '' and 'open' or change
  local spacing = math.max(SOON, spacing_of(interval, most, mean))
  if place ~= '' then
    redis.call('ZREM', parked, place)
    local due = math.ceil(after_last(parked, math.max(now, open), spacing))
    redis.call('ZADD', parked, due, place)
    redis.call('PEXPIRE', parked, KEPT)
    wait = due - now
  else
    wait = math.max(0, open - now)
  end
elseif change == 'closed' then
  local burst = interval > 0 and 1 or most > 0 and most or 16
  local spacing = spacing_of(interval, most, mean)
  if spacing == 0 then
    spacing = math.min(SOON, 10000 / math.max(1, redis.call('ZCARD', parked)))
  end
  bring_all_back(parked, now, burst, MOST_BACK, spacing)
elseif open > 0 and is_probe then -- it has told nothing: the next one tries
  bring_all_back(parked, now, 1, 1, 0)
elseif open == 0 and interval == 0 and held then
  -- each end lets one follow; without a limit two, so that a queue ends after a few rounds
  local free = most > 0 and math.min(1, most - redis.call('ZCARD', slots)) or 2
  if free > 0 and redis.call('ZCARD', parked) > 0 then
    bring_all_back(parked, now, free, free, 0)
  end
end
return {change, wait, failures}
