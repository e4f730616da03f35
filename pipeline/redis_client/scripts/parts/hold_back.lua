-- Remove a vCon's expiry, which a link may have set, and note the seconds: they count from when no
-- list and no run needs the vCon any more.
local function hold_back(uuid)
  local seconds = redis.call('TTL', 'vcon:' .. uuid)
  if seconds >= 0 then
    redis.call('PERSIST', 'vcon:' .. uuid)
    if_usable('hash', 'HSET', 'pc:about:' .. uuid, 'expiry', math.max(seconds, 1))
  end
end
