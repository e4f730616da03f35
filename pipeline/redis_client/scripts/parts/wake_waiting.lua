-- Return elements that waited for this vCon to the heads of their lists: up to 500, since one vCon may
-- have been queued any number of times. The settlement of the next run returns the others.
-- Each gets its hold again, which may have ended with the run that it waited for: an element that was
-- claimed once has a hold until its own run has ended. Needs `element`.
local function wake_waiting(uuid)
  local waiting = 'pc:waiting:' .. uuid
  local places = if_usable('list', 'LPOP', waiting, 500)
  for i = places ~= 0 and #places or 0, 1, -1 do
    local list, element = string.match(places[i], '^(.-)\n(.*)$')
    if list and put_back(list, element) then
      local _, _, hold = split(list, element)
      if_usable('set', 'SADD', 'pc:holds:' .. uuid, hold)
      redis.call('PERSIST', 'vcon:' .. uuid)
    else
      redis.call('LPUSH', waiting, places[i])
    end
  end
end
