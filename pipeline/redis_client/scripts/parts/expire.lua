-- Let a vCon go after so many seconds: at once, or when no list and no run needs it any more.
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
