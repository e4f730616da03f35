#!lua flags=allow-oom
-- End one run, unless this worker no longer holds it: then nothing happens and 0 is returned.
-- ARGV: worker, uuid, token, how, run JSON ("" keeps what is journaled), run expiry (s),
--       due (ms, for "later"), vCon expiry (s), uuid out, its document ("" leaves it),
--       trace context or "" (for egress, or to be found again), saved (0/1), n egress, egress lists..., n dead, dead-letter list + reason...
-- how: "finish"  the run is over; forward to egress and dead letters;
--      "later"   this attempt failed: run it again when due;
--      "return"  put it back to the head of its list, as if it had never been claimed.
-- uses: let_go, hold_back, wake_waiting, reasons
local worker, uuid, how, journal = ARGV[1], ARGV[2], ARGV[4], ARGV[5]
local inflight = 'pc:inflight:' .. worker
local held = redis.call('HGET', inflight, uuid)
if not held then
  return 0
end
local token, run, list, element = string.match(held, '^(%d+)\n(.-)\n(.-)\n(.*)$')
if token ~= ARGV[3] then
  return 0
end

-- A script that fails half way leaves half its writes: what could fail is looked at first.
local function check_list(name)
  local kind = redis.call('TYPE', name)['ok']
  if kind ~= 'list' and kind ~= 'none' then
    return name .. ' is no list but a ' .. kind
  end
end
if how == 'finish' then
  local at, objection = 13, nil
  for i = at + 1, at + ARGV[at] do
    objection = objection or check_list(ARGV[i])
  end
  at = at + ARGV[at] + 1
  for i = at + 1, at + 2 * ARGV[at], 2 do
    objection = objection or check_list(ARGV[i])
  end
  if objection then
    return redis.error_reply('WRONGTYPE ' .. objection)
  end
end
local out, document, context = ARGV[9], ARGV[10], ARGV[11]
if document ~= '' then -- first, since Redis may refuse it
  redis.call('JSON.SET', 'vcon:' .. out, '.', document)
end

redis.call('HDEL', inflight, uuid)
redis.call('HDEL', 'pc:locks', uuid)
local attempts, run_key = 'pc:attempts:' .. list, 'pc:run:' .. run
local past = redis.call('HGET', attempts, element)
local count = past and tonumber(string.match(past, '^(%d+)')) or 0
local is_run_list = string.sub(list, 1, 4) == 'run:'

hold_back(uuid)
if out ~= uuid then
  hold_back(out)
end

-- The oldest is popped first; what goes back to its place goes before those that came since.
local function leave_context(push, key)
  if context ~= '' then
    redis.call(push, key, context)
    redis.call('EXPIRE', key, 86400)
  end
end

local function add_letter(letters, who, reason)
  local reasons, stands = {}, false
  if redis.call('HEXISTS', 'pc:dead:' .. letters, who) == 1 then
    reasons = drop_reason(letters, who, list, ARGV[6]) -- of an earlier run, which this one repeated
    stands = redis.call('LPOS', letters, who) -- or somebody else has taken it out
  end
  table.insert(reasons, 1, cjson.decode(reason))
  set_reasons(letters, who, reasons)
  if not stands then
    redis.call('RPUSH', letters, who)
  end
end

if how ~= 'finish' then
  leave_context('LPUSH', 'context:' .. list .. ':' .. element)
end
if how == 'later' then
  redis.call('HSET', attempts, element, (count + 1) .. '\n' .. run .. '\n0')
  redis.call('SET', run_key, journal)
  redis.call('ZADD', 'pc:later', ARGV[7], list .. '\n' .. element)
elseif how == 'return' then
  redis.call('HSET', attempts, element, count .. '\n' .. run .. '\n0')
  if journal ~= '' then
    redis.call('SET', run_key, journal)
  end
  redis.call('LPUSH', list, element)
else
  if past then
    redis.call('HDEL', attempts, element)
  end
  local holds_out = 'pc:holds:' .. out
  local at = 13
  local n = tonumber(ARGV[at])
  for i = at + 1, at + n do
    redis.call('RPUSH', ARGV[i], out)
    leave_context('RPUSH', 'context:' .. ARGV[i] .. ':' .. out)
    redis.call('SADD', 'pc:unread:' .. ARGV[i], out)
    redis.call('SADD', holds_out, ARGV[i])
  end
  at = at + n + 1
  local dead = tonumber(ARGV[at])
  for i = at + 1, at + 2 * dead, 2 do
    local letters = ARGV[i]
    -- a storage's dead letters hold what the links made; an ingress list's, what came in
    local who = string.sub(letters, 1, 12) == 'DLQ:storage:' and out or uuid
    add_letter(letters, who, ARGV[i + 1])
    redis.call('SADD', 'pc:holds:' .. who, letters)
  end
  if dead > 0 then
    redis.call('SET', run_key, journal) -- a replay goes on from it, however much later
  else
    redis.call('SET', run_key, journal, 'EX', ARGV[6])
  end
  redis.call('RPUSH', 'pc:history', journal)
  redis.call('SREM', 'pc:holds:' .. uuid, is_run_list and (list .. '|' .. run) or list)
  if ARGV[12] == '1' then
    redis.call('HSET', 'pc:about:' .. out, 'saved', 1)
  end
  let_go(out, ARGV[8])
  if out ~= uuid then
    let_go(uuid, ARGV[8])
  end
  if is_run_list then
    redis.call('PUBLISH', 'pc:finished', run)
  end
end

wake_waiting(uuid)
return 1
