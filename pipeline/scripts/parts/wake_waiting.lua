-- Whatever waited for this vCon goes back to the heads of the lists it came from.
local function wake_waiting(uuid)
  local waiting = 'pc:waiting:' .. uuid
  local next_one = redis.call('RPOP', waiting)
  while next_one do
    local list, element = string.match(next_one, '^(.-)\n(.*)$')
    redis.call('LPUSH', list, element)
    next_one = redis.call('RPOP', waiting)
  end
end
