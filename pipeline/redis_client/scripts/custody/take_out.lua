#!lua flags=allow-oom
-- Take elements out whose runs have ended according to Postgres.
-- ARGV: recovery, kind and name as in restored.lua, run expiry (s), vCon expiry (s), then five for each
--       element: its place as restored.lua returns it, list, element, run or "", may the vCon expire (0/1).
-- Returns how many were taken out; -1 when Redis does not have the mark of this recovery.
-- uses: usable, clock, causes, reasons, element, let_go, put_back, wake_waiting, clear_missing, take_at
local kind, name, gone, taken = ARGV[2], ARGV[3], '\n taken out', 0
if if_usable('hash', 'HGET', 'pc:epoch', 'recovering') ~= ARGV[1] then
  return -1
end

-- Returns whether the element was where it was found.
local function removed(at, list, element, uuid)
  local place = list .. '\n' .. element
  if kind == 'list' then
    local found = is('list', name) and find_at(name, element, at)
    if found then
      redis.call('LSET', name, found, gone)
    end
    return found
  elseif kind == 'waiting' then
    return if_usable('list', 'LREM', 'pc:waiting:' .. name, 1, place) == 1
  elseif kind == 'later' then
    return if_usable('zset', 'ZREM', 'pc:later', place) == 1
  elseif kind == 'lease' then
    return if_usable('zset', 'ZREM', 'pc:lease:' .. name, uuid) == 1
  end
  local held = if_usable('hash', 'HDEL', 'pc:inflight:' .. name, uuid) == 1
  if held then
    if_usable('hash', 'HDEL', 'pc:locks', uuid)
  end
  return held
end

local function forget(list, element, uuid, run, hold, may_expire)
  if string.sub(list, 1, 4) == 'DLQ:' then
    if is('hash', 'pc:dead:' .. list) then
      set_reasons(list, uuid, {})
    end
    if_usable('set', 'SREM', 'pc:unsure:' .. list, uuid)
  else
    if_usable('hash', 'HDEL', 'pc:attempts:' .. list, element)
    if_usable('set', 'SREM', 'pc:unread:' .. list, uuid)
    if_usable('hash', 'HDEL', 'pc:again:' .. list, uuid)
  end
  if run ~= '' then
    if_usable('string', 'EXPIRE', 'pc:run:' .. run, ARGV[4])
  end
  if_usable('set', 'SREM', 'pc:holds:' .. uuid, hold)
  if_usable('hash', 'HDEL', 'pc:about:' .. uuid, 'custody:' .. hold)
  if may_expire == '1' then
    note_saved(uuid)
  end
  let_go(uuid, ARGV[5])
end

for i = 6, #ARGV, 5 do
  local at, list, element, run, may_expire = unpack(ARGV, i, i + 4)
  local uuid, _, hold = split(list, element)
  if removed(at, list, element, uuid) then
    taken = taken + 1
    forget(list, element, uuid, run, hold, may_expire)
    if kind == 'inflight' then
      wake_waiting(uuid)
    end
  end
end
if kind == 'list' and taken > 0 then
  redis.call('LREM', name, taken, gone)
end
return taken
