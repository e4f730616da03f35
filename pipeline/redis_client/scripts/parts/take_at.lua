-- Take an element out of a list of any length. LREM walks from an end of the list to the element,
-- and Redis answers no other client meanwhile. So the caller looks for the element in slices
-- (`pipeline/redis_client/slices.py`) and says where it was found, counted from the tail; here it is looked
-- for around that position, and near both ends.
--
-- Near an end LREM is quick. Deep in the list the place of the element is taken by the entry at an
-- end: in a list of dead letters by the oldest, which a replay has seen already; in any other by
-- the newest, so that no entry is kept waiting.
local AROUND, NEAR_END = 100, 1000

-- The index of an element from the head, or nil. `position` is "" when it is not known.
local function find_at(list, element, position)
  local length = redis.call('LLEN', list)
  local at = length + (tonumber(position) or -1)
  if at + AROUND >= 0 then
    local first = math.max(at - AROUND, 0)
    for i, each in ipairs(redis.call('LRANGE', list, first, at + AROUND)) do
      if each == element then
        return first + i - 1
      end
    end
  end
  return redis.call('LPOS', list, element, 'MAXLEN', AROUND) or nil
end

local function take_at(list, element, at)
  if at < NEAR_END then
    redis.call('LREM', list, 1, element)
  elseif redis.call('LLEN', list) - at <= NEAR_END then
    redis.call('LREM', list, -1, element)
  else
    local is_dead = string.sub(list, 1, 4) == 'DLQ:'
    local filler = redis.call(is_dead and 'LPOP' or 'RPOP', list)
    redis.call('LSET', list, is_dead and at - 1 or at, filler)
    clear_missing(list, filler)
  end
end
