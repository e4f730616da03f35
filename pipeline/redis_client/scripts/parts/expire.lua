-- Let a vCon expire after so many seconds, counted from now or from when no list and run needs it.
local function expire(uuid, seconds)
  local key, about = 'vcon:' .. uuid, 'pc:about:' .. uuid
  local needed = redis.call('EXISTS', 'pc:holds:' .. uuid)
    + if_usable('hash', 'HEXISTS', 'pc:locks', uuid)
  if not is(JSON, key) then
    return 0
  end
  if needed == 0 then
    return redis.call('EXPIRE', key, seconds)
  end
  redis.call('PERSIST', key)
  if_usable('hash', 'HSET', about, 'expiry', math.max(tonumber(seconds), 1))
  return redis.call('EXISTS', key)
end
