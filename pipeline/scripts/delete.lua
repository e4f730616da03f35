#!lua flags=allow-oom
-- Remove a vCon and every trace of it; runs that wait for it are cancelled.
-- ARGV: uuid, sorted set, now (ISO 8601), run expiry (s), lists...
-- Returns 1, 0 when nothing was there, or -1 while it is being processed.
-- uses: reasons
local uuid = ARGV[1]
if redis.call('HEXISTS', 'pc:locks', uuid) == 1 then
  return -1
end
local about, removed = 'pc:about:' .. uuid, 0

local function cancel(run)
  local key = 'pc:run:' .. run
  local journal = redis.call('GET', key) or ''
  local status = string.match(journal, '"status":"(%a+)"')
  if status == 'queued' or status == 'running' then
    journal = string.gsub(journal, '"status":"%a+"', '"status":"cancelled"', 1)
    journal = string.gsub(journal, '"finished_at":null', '"finished_at":"' .. ARGV[3] .. '"', 1)
    redis.call('SET', key, journal)
    redis.call('RPUSH', 'pc:history', journal)
    redis.call('PUBLISH', 'pc:finished', run)
  end
  redis.call('EXPIRE', key, ARGV[4])
end

local function take_out(list, element)
  removed = removed + redis.call('LREM', list, 0, element)
  removed = removed + redis.call('LREM', 'pc:suspects:' .. list, 0, element)
  removed = removed + redis.call('ZREM', 'pc:later', list .. '\n' .. element)
  local past = redis.call('HGET', 'pc:attempts:' .. list, element)
  if past then
    redis.call('HDEL', 'pc:attempts:' .. list, element)
    cancel(string.match(past, '\n(.-)\n'))
  end
end

local function take_out_of(list)
  take_out(list, uuid)
  for _, reason in ipairs(reasons_of(list, uuid)) do
    if type(reason.run_id) == 'string' then
      redis.call('EXPIRE', 'pc:run:' .. reason.run_id, ARGV[4])
    end
  end
  redis.call('HDEL', 'pc:dead:' .. list, uuid)
  removed = removed + redis.call('ZREM', 'pc:lease:' .. list, uuid)
  redis.call('SREM', 'pc:unread:' .. list, uuid)
end

for i = 5, #ARGV do
  take_out_of(ARGV[i])
end
for _, hold in ipairs(redis.call('SMEMBERS', 'pc:holds:' .. uuid)) do
  local list, run = string.match(hold, '^(run:.*)|(.-)$')
  if run then
    take_out(list, uuid .. '|' .. run)
    cancel(run)
  else
    take_out_of(hold)
  end
end

for _, index in ipairs(cjson.decode(redis.call('HGET', about, 'index') or '[]')) do
  redis.call('SREM', index, uuid)
end
redis.call('ZREM', ARGV[2], uuid, 'vcon:' .. uuid)
redis.call('ZREM', 'pc:expiring', uuid)
redis.call('DEL', about, 'pc:holds:' .. uuid, 'pc:waiting:' .. uuid)
return math.min(removed + redis.call('DEL', 'vcon:' .. uuid), 1)
