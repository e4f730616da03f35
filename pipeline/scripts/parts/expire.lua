-- Let a vCon go after so many seconds: at once, or when nobody needs it any more.
local function expire(uuid, seconds)
  local key, needed = 'vcon:' .. uuid, redis.call('EXISTS', 'pc:holds:' .. uuid)
  if needed + redis.call('HEXISTS', 'pc:locks', uuid) == 0 then
    return redis.call('EXPIRE', key, seconds)
  end
  redis.call('PERSIST', key)
  redis.call('HSET', 'pc:about:' .. uuid, 'expiry', math.max(tonumber(seconds), 1))
  return redis.call('EXISTS', key)
end
