-- A link may let a vCon go after so many seconds. They are remembered and do not run before no list
-- and no run needs it any more.
local function hold_back(uuid)
  local seconds = redis.call('TTL', 'vcon:' .. uuid)
  if seconds >= 0 then
    redis.call('PERSIST', 'vcon:' .. uuid)
    if_usable('hash', 'HSET', 'pc:about:' .. uuid, 'expiry', math.max(seconds, 1))
  end
end
