-- Take an element out of a list of any length. LREM walks from an end of the list to the element, and
-- Redis serves no other client meanwhile. So the caller searches the element in slices
-- (`pipeline/redis_client/slices.py`) and passes its position, counted from the tail; the script
-- searches around that position, and near the head.
--
-- Near an end LREM is quick. Deep in the list the element is overwritten by the entry at an end: in a
-- dead-letter list by the oldest, which a replay has seen already; in any other list by the newest,
-- so that no entry has to wait longer.
local AROUND, NEAR_END = 100, 1000

-- The index of an element from the head, or nil. `position` is "" when it is unknown.
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
