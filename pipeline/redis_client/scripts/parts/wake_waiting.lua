-- Return elements that waited for this vCon to the heads of their lists: up to 500, since one vCon may
-- have been queued any number of times. The settlement of the next run returns the others.
local function wake_waiting(uuid)
  local waiting = 'pc:waiting:' .. uuid
  local places = if_usable('list', 'LPOP', waiting, 500)
  for i = places ~= 0 and #places or 0, 1, -1 do
    local list, element = string.match(places[i], '^(.-)\n(.*)$')
    if not (list and put_back(list, element)) then
      redis.call('LPUSH', waiting, places[i])
    end
  end
end
