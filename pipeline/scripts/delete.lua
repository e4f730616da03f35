#!lua flags=allow-oom
-- Remove a vCon and every trace of it; runs that wait for it are cancelled.
-- ARGV: uuid, sorted set, now (ISO 8601), run expiry (s), lists...
-- Returns 1, 0 when nothing was there, or -1 while it is being processed.
-- A list that is none cannot hold it and is passed over.
-- uses: usable, reasons
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
  removed = removed + if_usable('list', 'LREM', list, 0, element)
  removed = removed + if_usable('list', 'LREM', 'pc:suspects:' .. list, 0, element)
  removed = removed + if_usable('zset', 'ZREM', 'pc:later', list .. '\n' .. element)
  local past = is('hash', attempts) and redis.call('HGET', attempts, element)
  if past then
    redis.call('HDEL', attempts, element)
    cancel(string.match(past, '\n(.-)\n') or '')
  end
end

local function take_out_of(list)
  take_out(list, uuid)
  for _, reason in ipairs(reasons_of(list, uuid)) do
    if type(reason.run_id) == 'string' then
      if_usable('string', 'EXPIRE', 'pc:run:' .. reason.run_id, ARGV[4])
    end
  end
  if_usable('hash', 'HDEL', 'pc:dead:' .. list, uuid)
  removed = removed + if_usable('zset', 'ZREM', 'pc:lease:' .. list, uuid)
  if_usable('set', 'SREM', 'pc:unread:' .. list, uuid)
end

for i = 5, #ARGV do
  take_out_of(ARGV[i])
end
for _, hold in ipairs(holds_of(uuid)) do
  local list, run = string.match(hold, '^(run:.*)|(.-)$')
  if run then
    take_out(list, uuid .. '|' .. run)
    cancel(run)
  else
    take_out_of(hold)
  end
end

for _, index in ipairs(decoded(redis.call('HGET', about, 'index')) or {}) do
  if_usable('set', 'SREM', index, uuid)
end
if_usable('zset', 'ZREM', ARGV[2], uuid, 'vcon:' .. uuid)
if_usable('zset', 'ZREM', 'pc:expiring', uuid)
redis.call('DEL', about, 'pc:holds:' .. uuid, 'pc:waiting:' .. uuid)
return math.min(removed + redis.call('DEL', 'vcon:' .. uuid), 1)
