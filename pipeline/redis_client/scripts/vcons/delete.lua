#!lua flags=allow-oom
-- Remove a vCon and everything about it; its queued runs are cancelled.
-- ARGV: uuid, sorted set, now (ISO 8601), run expiry (s), 1 for the last call or 0 to take out copies
--       only, n lists, lists..., then for each copy in a list: list, element, its position there (""
--       if unknown), see parts/take_at.lua.
-- Returns 1; 2 when a large document has to be freed; 0 when nothing was there; -1 while a worker
-- holds it; -2 when a copy has moved.
-- A list of another type is skipped.
-- uses: usable, clock, causes, reasons, clear_missing, take_at, place, index
local uuid = ARGV[1]
local about, removed = 'pc:about:' .. uuid, 0
local wrong = wrong_type('hash', 'pc:locks', about) or wrong_type(JSON, 'vcon:' .. uuid)
  or wrong_type('set', 'pc:holds:' .. uuid) or wrong_type('list', 'pc:waiting:' .. uuid)
if wrong then
  return redis.error_reply(wrong)
end
if redis.call('HEXISTS', 'pc:locks', uuid) == 1 then
  return -1
end

local function cancel(run)
  local key = 'pc:run:' .. run
  local journal = is('string', key) and redis.call('GET', key) or ''
  local status = string.match(journal, '"status":"(%a+)"')
  if status == 'queued' or status == 'running' then
    journal = string.gsub(journal, '"status":"%a+"', '"status":"cancelled"', 1)
    journal = string.gsub(journal, '"finished_at":null', '"finished_at":"' .. ARGV[3] .. '"', 1)
    redis.call('SET', key, journal)
    if_usable('list', 'RPUSH', 'pc:history', journal)
    redis.call('PUBLISH', 'pc:finished', run)
  end
  if_usable('string', 'EXPIRE', key, ARGV[4])
end

local function take_out(list, element)
  local attempts = 'pc:attempts:' .. list
  removed = removed + if_usable('zset', 'ZREM', 'pc:later', list .. '\n' .. element)
  if_usable('list', 'DEL', 'context:' .. list .. ':' .. element)
  local past = is('hash', attempts) and redis.call('HGET', attempts, element)
  if past then
    redis.call('HDEL', attempts, element)
    cancel(string.match(past, '\n(.-)\n') or '')
  end
  local chain_list, run = string.match(list .. '|' .. element, '^(run:.*)|.-|(.-)$')
  if chain_list then
    cancel(run)
    redis.call('SREM', 'pc:holds:' .. uuid, list .. '|' .. run)
  end
end

-- A copy may have moved since the caller found it: then the last call changes nothing, and the caller
-- searches again.
local copies, n = {}, tonumber(ARGV[6])
for i = 7 + n, #ARGV, 3 do
  local list, position = ARGV[i], ARGV[i + 2]
  if ARGV[5] == '1' and position ~= ''
    and not (is('list', list) and find_at(list, ARGV[i + 1], position)) then
    return -2
  end
  copies[#copies + 1] = {list, ARGV[i + 1], position}
end
local function take_copy(list, element, position)
  local at = is('list', list) and find_at(list, element, position)
  if at then
    take_at(list, element, at)
    removed = removed + 1
  end
  return at
end
for _, copy in ipairs(copies) do
  local list, element, position = unpack(copy)
  take_copy(list, element, position)
  take_out(string.match(list, '^pc:suspects:(.*)$') or list, element)
end
if ARGV[5] == '0' then
  return math.min(removed, 1)
end

local function take_out_of(list)
  for _, name in ipairs({list, 'pc:suspects:' .. list}) do
    local looked = 0
    while looked < 10 and take_copy(name, uuid, '') do -- queued again since the search
      looked = looked + 1
    end
  end
  take_out(list, uuid)
  local reasons = reasons_of(list, uuid)
  for _, reason in ipairs(reasons) do
    if type(reason.run_id) == 'string' then
      if_usable('string', 'EXPIRE', 'pc:run:' .. reason.run_id, ARGV[4])
    end
  end
  if #reasons > 0 then
    set_reasons(list, uuid, {})
  end
  removed = removed + if_usable('zset', 'ZREM', 'pc:lease:' .. list, uuid)
  for _, register in ipairs({'pc:unread:', 'pc:unsure:'}) do
    if_usable('set', 'SREM', register .. list, uuid)
  end
  for _, register in ipairs({'pc:again:', 'pc:missing:'}) do
    if_usable('hash', 'HDEL', register .. list, uuid)
  end
end

for i = 7, 6 + n do
  take_out_of(ARGV[i])
end
for _, hold in ipairs(holds_of(uuid)) do
  local list, run = string.match(hold, '^(run:.*)|(.-)$')
  if run then
    take_out(list, uuid .. '|' .. run)
  else
    take_out_of(hold)
  end
end

unindex(uuid)
local documents, was_large = remove_document(uuid)
if_usable('zset', 'ZREM', ARGV[2], uuid, 'vcon:' .. uuid)
if_usable('zset', 'ZREM', 'pc:expiring', uuid)
redis.call('DEL', about, 'pc:holds:' .. uuid, 'pc:waiting:' .. uuid, 'pc:signed:' .. uuid)
return was_large and 2 or math.min(removed + documents, 1)
