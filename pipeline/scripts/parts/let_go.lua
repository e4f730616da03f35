-- When nobody needs a document any more, its time begins to run: what a link has set, else `expiry`
-- seconds if somebody else has it. 0 keeps it.
local function let_go(uuid, expiry)
  if redis.call('EXISTS', 'pc:holds:' .. uuid) + redis.call('HEXISTS', 'pc:locks', uuid) > 0 then
    return
  end
  local saved, wished = unpack(redis.call('HMGET', 'pc:about:' .. uuid, 'saved', 'expiry'))
  local seconds = tonumber(wished or (saved and expiry) or 0)
  if seconds > 0 and redis.call('EXPIRE', 'vcon:' .. uuid, seconds) == 1 then
    redis.call('ZADD', 'pc:expiring', redis.call('TIME')[1] + seconds, uuid)
  end
end
