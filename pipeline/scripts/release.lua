#!lua flags=allow-oom
-- Another program took these out of a list that we fill: the list holds them no longer.
-- ARGV: list, register (set or hash that says what we put there), vCon expiry (s), run expiry (s),
--       saved (1: being taken out counts as being stored), uuids... Returns how many were let go.
-- uses: usable, let_go, stands_in, reasons
local list, register, expiry, run_expiry = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local dead, released = string.sub(list, 1, 4) == 'DLQ:', 0
local wrong = wrong_type('list', list) or wrong_type(dead and 'hash' or 'set', register)
  or wrong_type('zset', 'pc:lease:' .. list)
if wrong then
  return redis.error_reply(wrong)
end

-- Whether the list needs it no longer. A dead letter stands for one run of several: what the others
-- lack is still to be done.
local function unregister(uuid)
  if not dead then
    redis.call('SREM', register, uuid)
  elseif #drop_reason(list, uuid, nil, run_expiry) > 0 then
    redis.call('RPUSH', list, uuid)
    return false
  end
  return true
end

for i = 6, #ARGV do
  local uuid = ARGV[i]
  -- it was not in the list a moment ago, but may have come back since
  local is_here = redis.call('ZSCORE', 'pc:lease:' .. list, uuid) or stands_in(list, uuid)
  if not is_here and unregister(uuid) then
    released = released + 1
    if_usable('set', 'SREM', 'pc:holds:' .. uuid, list)
    if ARGV[5] == '1' then
      note_saved(uuid)
    end
    let_go(uuid, expiry)
  end
end
return released
