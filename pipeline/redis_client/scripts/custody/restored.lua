#!lua flags=allow-oom
-- Elements in a Redis with data of an earlier time, and what it knows of them.
-- ARGV: recovery ("?": of none), kind, name, start, count. The name is that of a list ("list"), of a worker
--       ("inflight"), of a vCon ("waiting"), of an egress list ("lease"), or "" ("later").
-- Returns {"lost"} when Redis does not have the mark of this recovery, or {"ok", elements...}, each
-- {place among them as parts/take_at.lua takes it, list, element, uuid, run or "", hold, rows of
-- custody or ""}. All elements of a worker are returned at once.
-- uses: usable, element
local kind, name, start, stop = ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[4] + ARGV[5] - 1
if ARGV[1] ~= '?' and if_usable('hash', 'HGET', 'pc:epoch', 'recovering') ~= ARGV[1] then
  return {'lost'}
end
local found = {'ok'}
local function add(at, list, element, run)
  local uuid, own, hold = split(list, element)
  local past = if_usable('hash', 'HGET', 'pc:attempts:' .. list, element)
  run = run or past and past ~= 0 and string.match(past, '\n(.-)\n') or own or ''
  local refs = if_usable('hash', 'HGET', 'pc:about:' .. uuid, 'custody:' .. hold)
  found[#found + 1] = {at, list, element, uuid, run, hold, type(refs) == 'string' and refs or ''}
end

local places
if kind == 'list' and is('list', name) then
  local length = redis.call('LLEN', name)
  local list = string.match(name, '^pc:suspects:(.*)$') or name
  for i, element in ipairs(redis.call('LRANGE', name, start, stop)) do
    add(start + i - 1 - length, list, element)
  end
elseif kind == 'waiting' and is('list', 'pc:waiting:' .. name) then
  places = redis.call('LRANGE', 'pc:waiting:' .. name, start, stop)
elseif kind == 'later' and is('zset', 'pc:later') then
  places = redis.call('ZRANGE', 'pc:later', start, stop)
elseif kind == 'lease' and is('zset', 'pc:lease:' .. name) then
  for _, uuid in ipairs(redis.call('ZRANGE', 'pc:lease:' .. name, start, stop)) do
    add(0, name, uuid)
  end
elseif kind == 'inflight' and is('hash', 'pc:inflight:' .. name) and start == 0 then
  local held = redis.call('HGETALL', 'pc:inflight:' .. name)
  for i = 2, #held, 2 do
    local _, run, list, element = string.match(held[i], '^(%d+)\n(.-)\n(.-)\n(.*)$')
    if list then
      add(0, list, element, run)
    end
  end
end
for _, place in ipairs(places or {}) do
  local list, element = string.match(place, '^(.-)\n(.*)$')
  if list then
    add(0, list, element)
  end
end
return found
