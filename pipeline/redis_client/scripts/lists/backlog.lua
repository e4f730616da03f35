#!lua flags=allow-oom
-- How many vCons of each list wait, are delayed until a retry, and are in flight.
-- ARGV: most fields, seconds to keep a minute, then each list and a JSON array with its name. With 0
--       seconds nothing is written. Otherwise the numbers are also kept in pc:minutes:{minutes since
--       1970}, if the minute has none of these lists yet: one sample a minute, from the first replica.
-- Returns {milliseconds since 1970, the length of pc:later, then waiting, delayed and in flight of each
-- list}; only the time when the minute has its sample. Of the delayed and the in flight, at most
-- `MOST` are looked at; of more delayed ones a random part, and the numbers are extrapolated.
-- uses: usable, clock
local MOST, now, sample = 2000, now_ms(), tonumber(ARGV[2])
local key = 'pc:minutes:' .. math.floor(now / 60000)
if sample > 0 then
  local wrong = wrong_type('hash', key)
  if wrong then
    return redis.error_reply(wrong)
  end
  if redis.call('HEXISTS', key, 'waiting - n ' .. (ARGV[4] or '')) == 1 then
    return {now}
  end
end

local function count(texts, pattern)
  local counts = {}
  for _, text in ipairs(texts) do
    local list = string.match(text, pattern)
    if list then
      counts[list] = (counts[list] or 0) + 1
    end
  end
  return counts
end

local delayed, total, part = {}, if_usable('zset', 'ZCARD', 'pc:later'), 1
if total > MOST then
  part = total / MOST
  delayed = redis.call('ZRANDMEMBER', 'pc:later', MOST)
elseif total > 0 then
  delayed = redis.call('ZRANGE', 'pc:later', 0, -1)
end
delayed = count(delayed, '^(.-)\n')

local held = {}
local workers = is('set', 'pc:workers') and redis.call('SRANDMEMBER', 'pc:workers', MOST) or {}
for _, worker in ipairs(workers) do
  local inflight = 'pc:inflight:' .. worker
  local size = #held < MOST and if_usable('hash', 'HLEN', inflight) or 0
  if size > 0 and size <= MOST then
    for _, text in ipairs(redis.call('HVALS', inflight)) do
      held[#held + 1] = text
    end
  end
end
held = count(held, '^%d+\n.-\n(.-)\n')

local function keep(what, name, number)
  redis.call('HSETNX', key, what .. ' - n ' .. name, number)
end

local reply, full = {now, total}, sample > 0 and redis.call('HLEN', key) >= tonumber(ARGV[1])
for i = 3, #ARGV, 2 do
  local list, name = ARGV[i], ARGV[i + 1]
  local waiting = if_usable('list', 'LLEN', list) + if_usable('list', 'LLEN', 'pc:suspects:' .. list)
  local late, flying = math.floor((delayed[list] or 0) * part + 0.5), held[list] or 0
  reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = waiting, late, flying
  if sample > 0 and not full then
    keep('waiting', name, waiting)
    keep('delayed', name, late)
    keep('in_flight', name, flying)
  end
end
if sample > 0 then
  if not full then
    keep('sampled', '["at"]', now % 60000)
  end
  redis.call('EXPIRE', key, sample)
end
return reply
