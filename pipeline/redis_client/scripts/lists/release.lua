#!lua flags=allow-oom
-- End the holds of uuids that another program took out of an egress or dead-letter list.
-- ARGV: list, register (set or hash of the uuids that this service put there), vCon expiry (s), run
--       expiry (s), saved (1: being taken out counts as being stored), sweep, uuids...
-- Returns the number of holds that ended.
--
-- The sweep marked each uuid in `pc:missing:{list}` before it read the whole list, and did not find
-- it. If the mark is gone, or is of another sweep, the uuid was put into the list meanwhile. Other
-- programs remove no mark; they add uuids at an end of the list, so the ends are read here.
-- uses: usable, clock, let_go, causes, reasons, custody
local list, register, expiry, run_expiry = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local dead, released = string.sub(list, 1, 4) == 'DLQ:', 0
local wrong = wrong_type('list', list) or wrong_type(dead and 'hash' or 'set', register)
  or wrong_type('zset', 'pc:lease:' .. list) or wrong_type('hash', 'pc:missing:' .. list)
if wrong then
  return redis.error_reply(wrong)
end

local at_the_ends = {}
for _, range in ipairs({{0, 199}, {-200, -1}}) do
  for _, uuid in ipairs(redis.call('LRANGE', list, range[1], range[2])) do
    at_the_ends[uuid] = true
  end
end

local function is_missing(uuid)
  if redis.call('HGET', 'pc:missing:' .. list, uuid) ~= ARGV[6] then
    return false
  end
  redis.call('HDEL', 'pc:missing:' .. list, uuid)
  return not at_the_ends[uuid] and not redis.call('ZSCORE', 'pc:lease:' .. list, uuid)
end

-- Whether the list's hold ends. A vCon in a dead-letter list may have failed in several runs; it
-- returns to the list for the others. It may also be missing there since `add_letter` of settle.lua.
local function unregister(uuid)
  if not dead then
    redis.call('SREM', register, uuid)
    if_usable('hash', 'HDEL', 'pc:again:' .. list, uuid)
  elseif if_usable('set', 'SREM', 'pc:unsure:' .. list, uuid) == 1
    or #drop_reason(list, uuid, nil, run_expiry) > 0 then
    redis.call('RPUSH', list, uuid)
    return false
  end
  return true
end

for i = 7, #ARGV do
  local uuid = ARGV[i]
  if is_missing(uuid) and unregister(uuid) then
    released = released + 1
    if_usable('set', 'SREM', 'pc:holds:' .. uuid, list)
    end_custody(uuid, list, 'taken out')
    if ARGV[5] == '1' then
      note_saved(uuid)
    end
    let_go(uuid, expiry)
  end
end
return released
