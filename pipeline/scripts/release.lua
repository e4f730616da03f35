-- Somebody else took these out of a list that we fill: the list holds them no longer.
-- ARGV: list, register (set or hash that says what we put there), vCon expiry (s), run expiry (s),
--       saved (1: being taken out counts as being stored), uuids... Returns how many were let go.
local list, register, expiry, run_expiry = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local dead, released = string.sub(list, 1, 4) == 'DLQ:', 0
local now = tonumber(redis.call('TIME')[1])

-- It was not in the list a moment ago; it may have come back since, at either end.
local function is_back(uuid)
  return redis.call('LPOS', list, uuid, 'MAXLEN', 10000)
    or redis.call('LPOS', list, uuid, 'RANK', -1, 'MAXLEN', 10000)
end

local function unregister(uuid)
  if not dead then
    return redis.call('SREM', register, uuid)
  end
  local run = cjson.decode(redis.call('HGET', register, uuid) or '{}').run_id
  if type(run) == 'string' then
    redis.call('EXPIRE', 'pc:run:' .. run, run_expiry)
  end
  return redis.call('HDEL', register, uuid)
end

-- Nobody needs the document any more and somebody has it: its time begins to run.
local function let_go(uuid)
  if redis.call('EXISTS', 'vcon:' .. uuid) == 0 then
    return
  end
  if ARGV[5] == '1' then
    redis.call('HSET', 'pc:about:' .. uuid, 'saved', 1)
  end
  local needed = redis.call('EXISTS', 'pc:holds:' .. uuid) + redis.call('HEXISTS', 'pc:locks', uuid)
  if expiry > 0 and needed == 0 and redis.call('HEXISTS', 'pc:about:' .. uuid, 'saved') == 1 then
    redis.call('EXPIRE', 'vcon:' .. uuid, expiry)
    redis.call('ZADD', 'pc:expiring', now + expiry, uuid)
  end
end

for i = 6, #ARGV do
  local uuid = ARGV[i]
  if not redis.call('ZSCORE', 'pc:lease:' .. list, uuid) and not is_back(uuid) then
    released = released + unregister(uuid)
    redis.call('SREM', 'pc:holds:' .. uuid, list)
    let_go(uuid)
  end
end
return released
