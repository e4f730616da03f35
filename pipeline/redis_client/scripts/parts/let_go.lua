-- Let a document expire if no list and no run needs it any more: after the seconds that a link has
-- set, else after `expiry` seconds if a storage or a reader has it. 0 keeps it, and so does a key of
-- another type in the place of pc:holds or pc:about.
local function let_go(uuid, expiry)
  local about = 'pc:about:' .. uuid
  if redis.call('EXISTS', 'pc:holds:' .. uuid) == 1 or not is('hash', about)
    or not is('hash', 'pc:locks') or redis.call('HEXISTS', 'pc:locks', uuid) == 1 then
    return
  end
  local saved, wished = unpack(redis.call('HMGET', about, 'saved', 'expiry'))
  local seconds = tonumber(wished or (saved and expiry) or 0) or 0
  if seconds > 0 and if_usable(JSON, 'EXPIRE', 'vcon:' .. uuid, seconds) == 1 then
    if_usable('zset', 'ZADD', 'pc:expiring', redis.call('TIME')[1] + seconds, uuid)
  end
end

local function note_saved(uuid)
  if redis.call('EXISTS', 'vcon:' .. uuid) == 1 then
    if_usable('hash', 'HSET', 'pc:about:' .. uuid, 'saved', 1)
  end
end
