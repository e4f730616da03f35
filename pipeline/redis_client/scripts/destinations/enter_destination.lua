#!lua flags=allow-oom
-- Ask for a slot at a destination, for one call. The theory is at the head of
-- pipeline/destinations/gate.py.
-- ARGV: destination, holder (names this call), place ("list\nelement" of the run, or ""), now (ms; ""
--       is Redis' clock), lease of a slot (ms), longest wait in place (ms), calls at once or 0, ms
--       between two calls or 0, whether there is a breaker (0/1).
-- Returns {"go", ms to wait before the call, whether it is the breaker's probe (0/1)}, or
-- {"later", ms until it is worth asking again, "open" | "probe" | "rate" | "full", calls in flight,
-- runs that wait}; then the run has its place among the parked ones.
-- uses: usable, clock, destination
local name, holder, place = ARGV[1], ARGV[2], ARGV[3]
local now = ARGV[4] ~= '' and tonumber(ARGV[4]) or now_ms()
local lease, longest, most = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local interval, has_breaker = tonumber(ARGV[8]), ARGV[9] == '1'
local keys, wrong = destination_keys(name)
if wrong then
  return redis.error_reply(wrong)
end
local state, slots, parked = unpack(keys)
local open, probe, start, mean = unpack(redis.call('HMGET', state, 'open', 'probe', 'start', 'mean'))
open, start, mean = tonumber(open) or 0, tonumber(start) or 0, tonumber(mean) or MEAN
if redis.call('ZSCORE', slots, holder) then -- the reply was lost
  return {'go', 0, probe == holder and 1 or 0}
end
redis.call('ZREMRANGEBYSCORE', slots, '-inf', now)
redis.call('ZREMRANGEBYSCORE', parked, '-inf', now - OVERDUE)
local busy, waiting = redis.call('ZCARD', slots), redis.call('ZCARD', parked)
local rank = place ~= '' and redis.call('ZRANK', parked, place)

-- What the run waits for, and the earliest time at which it may be worth asking again.
local reason, at, probing = nil, now, false
if has_breaker and open > 0 then
  if now < open then
    reason, at = 'open', open
  elseif probe and probe ~= '' and redis.call('ZSCORE', slots, probe) then
    reason, at = 'probe', now + mean
  else
    probing = true
  end
end
if most > 0 and busy >= most then
  reason, at = reason or 'full', math.max(at, now + math.max(50, mean * ((rank or 0) + 1) / most))
end
local begin = math.max(now, start + interval)
if interval > 0 and begin > now + longest then
  reason, at = reason or 'rate', math.max(at, rank and now + interval * (rank + 1) or begin, begin)
end
if not reason and not rank and waiting > 0 then -- parked runs come before new ones
  if probing then
    reason, at = 'probe', now + mean
  elseif interval > 0 then
    reason, at = 'rate', begin
  elseif most > 0 and most - busy <= waiting then
    reason, at = 'full', now + mean / most
  end
end

if reason then
  local spacing = spacing_of(interval, most, mean)
  local turns = reason == 'open' or reason == 'probe' -- each of these comes after all others
  if turns then
    spacing = math.max(spacing, SOON)
    if place ~= '' then
      redis.call('ZREM', parked, place)
    end
  end
  local due = (turns or not rank) and after_last(parked, at, spacing) or at
  due = math.ceil(due)
  if place ~= '' then
    redis.call('ZADD', parked, due, place)
    redis.call('PEXPIRE', parked, KEPT)
  end
  return {'later', due - now, reason, busy, redis.call('ZCARD', parked)}
end

begin = interval > 0 and begin or now
redis.call('ZADD', slots, math.ceil(begin + lease), holder)
redis.call('PEXPIRE', slots, KEPT)
if place ~= '' then
  redis.call('ZREM', parked, place)
end
if interval > 0 then
  redis.call('HSET', state, 'start', string.format('%.3f', begin))
  redis.call('PEXPIRE', state, KEPT)
end
if probing then
  redis.call('HSET', state, 'probe', holder)
end
return {'go', math.ceil(begin - now), probing and 1 or 0}
