-- The keys of a destination, and bringing parked runs back. The theory is at the head of
-- pipeline/destinations/gate.py.
-- uses: usable
local OVERDUE = 15000 -- ms after its time for which a parked run still comes before new ones
local MEAN = 1000 -- ms that a call takes, before one has ended
local SOON = 20 -- ms between two parked runs of a destination without limits
local KEPT = 30 * 86400000 -- ms after its last use for which a destination is remembered
local MOST_BACK = 500 -- parked runs that one call brings back

local function destination_keys(name)
  local keys = {'pc:destination:' .. name, 'pc:slots:' .. name, 'pc:parked:' .. name}
  return keys, wrong_type('hash', keys[1]) or wrong_type('zset', keys[2], keys[3])
end

-- ms between two calls: by the rate, or so that `most` calls of `mean` ms are in flight.
local function spacing_of(interval, most, mean)
  return math.max(interval, most > 0 and mean / most or 0)
end

-- When a run that is parked now may come: `at`, or `spacing` after the last parked one.
local function after_last(parked, at, spacing)
  local last = redis.call('ZRANGE', parked, -1, -1, 'WITHSCORES')
  return last[2] and math.max(at, tonumber(last[2]) + spacing) or at
end

-- Let a parked run that is not due yet return at a time, or at once: to the head of its list, which
-- wakes a worker.
local function bring_back(parked, place, now, at)
  local list, element = string.match(place, '^(.-)\n(.*)$')
  if at <= now and list and is('list', list) then
    redis.call('ZREM', 'pc:later', place)
    redis.call('LPUSH', list, element)
  else
    redis.call('ZADD', 'pc:later', 'LT', at, place)
  end
  redis.call('ZADD', parked, 'XX', at, place)
end

-- Bring `burst` parked runs back at once, and others one after another, `most` in all. Those that are
-- not among the delayed retries are left out: they wait in their worker, or have ended.
local function bring_all_back(parked, now, burst, most, spacing)
  local waiting = redis.call('ZRANGE', parked, '(' .. now, '+inf', 'BYSCORE', 'LIMIT', 0, most + 10)
  local found, usable = {}, is('zset', 'pc:later')
  for _, place in ipairs(waiting) do
    if usable and #found < most and redis.call('ZSCORE', 'pc:later', place) then
      found[#found + 1] = place
    end
  end
  for i = #found, 1, -1 do -- each is pushed to the head of its list: the first one last
    bring_back(parked, found[i], now, i <= burst and now or math.ceil(now + (i - burst) * spacing))
  end
end
