#!lua flags=allow-oom
-- Somebody else took these out of a list that we fill: the list holds them no longer.
-- ARGV: list, register (set or hash that says what we put there), vCon expiry (s), run expiry (s),
--       saved (1: being taken out counts as being stored), uuids... Returns how many were let go.
-- uses: let_go, stands_in
local list, register, expiry, run_expiry = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local dead, released = string.sub(list, 1, 4) == 'DLQ:', 0

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

for i = 6, #ARGV do
  local uuid = ARGV[i]
  -- it was not in the list a moment ago, but may have come back since
  if not redis.call('ZSCORE', 'pc:lease:' .. list, uuid) and not stands_in(list, uuid) then
    released = released + unregister(uuid)
    redis.call('SREM', 'pc:holds:' .. uuid, list)
    if ARGV[5] == '1' and redis.call('EXISTS', 'vcon:' .. uuid) == 1 then
      redis.call('HSET', 'pc:about:' .. uuid, 'saved', 1)
    end
    let_go(uuid, expiry)
  end
end
return released
