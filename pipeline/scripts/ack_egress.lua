-- The reader has these: nobody needs to keep them for this list any more.
-- ARGV: list, vCon expiry (s), uuids... Returns how many were leased until now.
local list, expiry, acknowledged = ARGV[1], tonumber(ARGV[2]), 0
local now = tonumber(redis.call('TIME')[1])

-- A second run may have put it into the list once more.
local function is_unread(uuid)
  return redis.call('LPOS', list, uuid, 'MAXLEN', 10000)
    or redis.call('LPOS', list, uuid, 'RANK', -1, 'MAXLEN', 10000)
end

-- Nobody needs the document any more and somebody has it: its time begins to run.
local function let_go(uuid)
  if redis.call('EXISTS', 'vcon:' .. uuid) == 0 then
    return
  end
  redis.call('HSET', 'pc:about:' .. uuid, 'saved', 1)
  local needed = redis.call('EXISTS', 'pc:holds:' .. uuid) + redis.call('HEXISTS', 'pc:locks', uuid)
  if expiry > 0 and needed == 0 then
    redis.call('EXPIRE', 'vcon:' .. uuid, expiry)
    redis.call('ZADD', 'pc:expiring', now + expiry, uuid)
  end
end

for i = 3, #ARGV do
  local uuid = ARGV[i]
  if redis.call('ZREM', 'pc:lease:' .. list, uuid) == 1 then
    acknowledged = acknowledged + 1
    if not is_unread(uuid) then
      redis.call('SREM', 'pc:unread:' .. list, uuid)
      redis.call('SREM', 'pc:holds:' .. uuid, list)
    end
    let_go(uuid)
  end
end
return acknowledged
