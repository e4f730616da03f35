-- What waited for this vCon goes back to the heads of the lists it came from.
local function wake_waiting(uuid)
  local waiting = 'pc:waiting:' .. uuid
  for _ = 1, if_usable('list', 'LLEN', waiting) do
    local place = redis.call('RPOP', waiting)
    local list, element = string.match(place, '^(.-)\n(.*)$')
    if not (list and put_back(list, element)) then
      redis.call('LPUSH', waiting, place)
    end
  end
end
