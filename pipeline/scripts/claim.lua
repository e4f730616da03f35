#!lua flags=allow-oom
-- Move ids from the heads of their lists into this worker's in-flight hash.
-- ARGV: worker, now (ms), want, suspects (0/1), traced (0/1), n lists, lists (rotated by the
--       caller)..., fresh run ids...
-- Returns {state, ms until the next delayed retry or -1, claims...}; state is "ok" or "dead" (this
-- worker has no lease). A claim is {list, element, uuid, run, attempt, journal, token, the producer's
-- trace context or "", cancelled (0/1), whether it is an envelope (0/1), its critical extensions or
-- ""}; the token is the fence: no two claims share one, and later ones are higher. In flight: uuid ->
-- token, run, list, element, a line each.
--
-- A suspect was in flight beside others when their worker died: any of them may have killed it. An
-- ordinary claim moves suspects aside, to pc:suspects:{list}, and goes on with what is behind them; a
-- claim for suspects (ARGV[4] = 1) takes them from there, or from the head of the list.
--
-- An element is a uuid, in a run list `uuid|run`. Only one run at a time works on a vCon: whoever
-- comes second waits in pc:waiting:{uuid} and is put back by the settlement of the first.
-- uses: form_of, is_suspect
local worker, now, want, for_suspects = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'
local traced, n = ARGV[5] == '1', tonumber(ARGV[6])
if redis.call('EXISTS', 'pc:worker:' .. worker) == 0 then
  return {'dead', -1}
end

local due = redis.call('ZRANGE', 'pc:later', '-inf', now, 'BYSCORE', 'LIMIT', 0, want)
for _, member in ipairs(due) do
  local list, element = string.match(member, '^(.-)\n(.*)$')
  redis.call('ZREM', 'pc:later', member)
  redis.call('LPUSH', list, element)
end

local inflight = 'pc:inflight:' .. worker
local reply, fresh = {}, 7 + n

local function pop(list)
  if not for_suspects then
    return redis.call('LPOP', list)
  end
  local element = redis.call('LPOP', 'pc:suspects:' .. list)
  if element then
    return element
  end
  local head = redis.call('LINDEX', list, 0)
  return head and is_suspect(list, head) and redis.call('LPOP', list)
end

local function take(list)
  local element = pop(list)
  if not element then
    return false
  end
  local uuid, run = element, nil
  if string.sub(list, 1, 4) == 'run:' then
    uuid, run = string.match(element, '^(.-)|(.*)$')
  end
  -- Other programs queue vCons, too, and then nobody has written down that this list needs it.
  local hold = run and (list .. '|' .. run) or list
  if redis.call('HEXISTS', 'pc:locks', uuid) == 1 then
    redis.call('RPUSH', 'pc:waiting:' .. uuid, list .. '\n' .. element)
    redis.call('SADD', 'pc:holds:' .. uuid, hold)
    return true
  end
  local attempt, journal = 1, ''
  local past = redis.call('HGET', 'pc:attempts:' .. list, element)
  if past then
    local count, past_run = string.match(past, '^(%d+)\n(.-)\n%d$')
    if not for_suspects and is_suspect(list, element) then
      redis.call('RPUSH', 'pc:suspects:' .. list, element)
      return true
    end
    attempt, run = tonumber(count) + 1, past_run
  end
  local known = run
  if known then
    journal = redis.call('GET', 'pc:run:' .. run) or ''
  else
    run, fresh = ARGV[fresh], fresh + 1
  end
  redis.call('HSET', 'pc:locks', uuid, worker)
  local token = redis.call('INCR', 'pc:tokens')
  redis.call('HSET', inflight, uuid, token .. '\n' .. run .. '\n' .. list .. '\n' .. element)
  redis.call('PERSIST', 'vcon:' .. uuid)
  redis.call('SADD', 'pc:holds:' .. uuid, hold)
  local cancelled = known and redis.call('EXISTS', 'pc:cancel:' .. run) or 0
  local context = traced and redis.call('LPOP', 'context:' .. list .. ':' .. element) or ''
  local envelope, critical = form_of(uuid)
  reply[#reply + 1] = {
    list, element, uuid, run, attempt, journal, token, context, cancelled, envelope and 1 or 0, critical
  }
  return true
end

local open = {}
for i = 7, 6 + n do
  open[#open + 1] = ARGV[i]
end
while #open > 0 and #reply < want do
  local still = {}
  for _, list in ipairs(open) do
    if #reply >= want then
      break
    end
    if take(list) then
      still[#still + 1] = list
    end
  end
  open = still
end

local wait = -1
local first = redis.call('ZRANGE', 'pc:later', 0, 0, 'WITHSCORES')
if first[2] then
  wait = math.max(0, tonumber(first[2]) - tonumber(now))
end
return {'ok', wait, unpack(reply)}
