#!lua flags=allow-oom
-- Move elements from the heads of their lists into this worker's in-flight hash. The theory is at the
-- head of pipeline/runs/queues.py.
-- ARGV: worker, want, suspects (0/1), traced (0/1), the worker's replica or "", custody (0/1), the turns, the
--       pools, n lists, lists..., fresh run ids... Each list is followed by `:` and its chain, and by the lists
--       that its chain forwards to, a line each.
-- Returns {state, ms until the next delayed retry or -1, errors of vCons that were set aside, lists
-- with a key of another type, lists that were skipped because their chain is paused or this replica is
-- drained, lists that may have further elements, claims...}; state is "ok", "dead" (this worker has no lease), or
-- with custody "unsure": recovery has not approved this server, see parts/approved.lua. A claim is
-- {list, element, uuid, run, attempt, checkpoint, token, the producer's trace context or "",
-- cancelled (0/1), envelope (0/1), critical extensions or "", bytes of the document or -1}, with custody
-- also the rows of its place and of Redis itself, and the generation of this server. In flight: uuid ->
-- token, run, list, element, a line each.
--
-- The turns decide which list gives the next element (pipeline/worker/slots/shares.py): numbers of lists from 1
-- in order, separated by commas; a list without elements is skipped. A negative number is a turn beyond
-- the list's share. Pools: for each, separated by commas, `free slots:kept slots:soft (0/1):its lists`, with
-- spaces between the lists. A turn within the share needs a free slot unless the pool is soft, one beyond it a
-- free slot that is not kept.
--
-- A suspect was in flight beside others when their worker died: any of them may have killed it. An
-- ordinary claim moves suspects to pc:suspects:{list} and goes on with the elements behind them; a
-- claim for suspects (ARGV[3] = 1) takes them from there, or from the head of the list.
--
-- An element is a uuid, in a run list `uuid|run`. One run at a time holds a vCon: a second one waits
-- in pc:waiting:{uuid}, and the settlement of the first returns it to its list.
--
-- Keys of another type: without the locks, the tokens or the in-flight hash nothing is claimed. An
-- unusable list is skipped, and so is one whose chain forwards to an unusable list; its delayed
-- retries stay delayed. The lists of a paused chain are not looked at: none of their elements is taken. A vCon with an unusable key of its own is put among the delayed retries.
--
-- The elements of vCons that were erased are dropped, with what another program has written as vCon.
--
-- Delayed retries of a paused chain that are due go to the head of their list, and wait there.
-- uses: usable, clock, element, form_of, is_suspect, paused, approved, marked, erased, place
local worker, want, for_suspects = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1'
local traced, replica, custody, n = ARGV[4] == '1', ARGV[5], ARGV[6] == '1', tonumber(ARGV[9])
local FIRST = 10 -- the first list in ARGV
local inflight, now = 'pc:inflight:' .. worker, now_ms()
local MOVES, ASIDE = 100, 5000 -- elements moved to other lists in one call; ms that one is set aside
if redis.call('EXISTS', 'pc:worker:' .. worker) == 0 then
  return {'dead', -1, {}, {}, {}, {}}
end
local generation = custody and generation_here() or ''
if custody and generation == '' then
  return {'unsure', -1, {}, {}, {}, {}}
end
local wrong = wrong_type('hash', 'pc:locks', inflight) or wrong_type('string', 'pc:tokens')
if wrong then
  return redis.error_reply(wrong)
end
-- INCR would fail on a string that is no number, after a part of the claims was made.
if not tonumber(redis.call('GET', 'pc:tokens') or 0) then
  return redis.error_reply('WRONGTYPE pc:tokens is no number')
end
local delays = is('zset', 'pc:later')

local due = delays and redis.call('ZRANGE', 'pc:later', '-inf', now, 'BYSCORE', 'LIMIT', 0, want)
for _, member in ipairs(due or {}) do
  local list, element = string.match(member, '^(.-)\n(.*)$')
  if list and is('list', list) then
    redis.call('ZREM', 'pc:later', member)
    redis.call('LPUSH', list, element)
  else
    redis.call('ZADD', 'pc:later', now + ASIDE, member)
  end
end

local reply, fresh, moves, errors = {}, FIRST + n, 0, {}

-- The next element of a list and the list it is in; nil when there is none for this claim.
local function next_of(list)
  local aside = 'pc:suspects:' .. list
  local moved = for_suspects and is('list', aside) and redis.call('LINDEX', aside, 0)
  if moved then
    return moved, aside
  end
  local head = redis.call('LINDEX', list, 0)
  if head and (not for_suspects or is_suspect(list, head)) then
    return head, list
  end
end

local suspects_of = {} -- by list: the error of an unusable list of its suspects, or false

-- The error of an unusable key that this claim needs; nil when all are usable.
local function objection(list, uuid, run)
  if suspects_of[list] == nil then
    suspects_of[list] = not for_suspects and wrong_type('list', 'pc:suspects:' .. list) or false
  end
  return wrong_type('list', 'pc:waiting:' .. uuid)
    or suspects_of[list]
    or run and wrong_type('string', 'pc:run:' .. run, 'pc:cancel:' .. run)
end

local function put_aside(source, place)
  if if_usable('zset', 'ZADD', 'pc:later', 'NX', now + ASIDE, place) == 0 then
    return false -- no further element of this list is taken in this call
  end
  redis.call('LPOP', source)
  moves = moves + 1
  return moves < MOVES
end

local function move(source, target, entry)
  redis.call('LPOP', source)
  redis.call('RPUSH', target, entry)
  moves = moves + 1
  return moves < MOVES
end

-- The failed attempts of an element, the run of the last one, and whether it is a suspect.
local function past_of(list, element)
  local past = redis.call('HGET', 'pc:attempts:' .. list, element)
  local count, run = string.match(past or '', '^(%d+)\n(.-)\n%d$')
  return tonumber(count) or 0, run, past and string.sub(past, -2) == '\n1'
end

-- The bytes of a document, from its intake or the name under which it was staged; -1 if only Redis
-- itself could count them, which takes up to 5 ms for each million.
local function size_of(about)
  local bytes, large = unpack(redis.call('HMGET', about, 'bytes', 'large'))
  if large then
    bytes = string.match(large, '^pc:staged:%x+:(%d+)')
  end
  return tonumber(bytes) or -1
end

-- Remove a vCon that another program has written from its search terms: only its document names them.
local function unindex_document(uuid)
  local key, found = 'vcon:' .. uuid, {}
  local whole = is('string', key) and decoded(redis.call('GET', key))
  local parties = type(whole) == 'table' and type(whole.parties) == 'table' and whole.parties or {}
  for _, field in ipairs({'tel', 'mailto', 'name'}) do
    local text = redis.pcall('JSON.GET', key, '$.parties[0:1000].' .. field)
    for _, value in ipairs(type(text) == 'string' and decoded(text) or {}) do
      found[#found + 1] = {field, value}
    end
    for _, party in ipairs(parties) do
      found[#found + 1] = {field, type(party) == 'table' and party[field]}
    end
  end
  for _, term in ipairs(found) do
    if type(term[2]) == 'string' then
      if_usable('set', 'SREM', term[1] .. ':' .. term[2], uuid)
    end
  end
end

-- Forget the element of an erased vCon.
local function drop(list, element, uuid, run, hold)
  redis.call('HDEL', 'pc:attempts:' .. list, element)
  if_usable('set', 'SREM', 'pc:holds:' .. uuid, hold)
  if run then
    redis.call('DEL', 'pc:run:' .. run)
    redis.call('PUBLISH', 'pc:finished', run)
  end
  if_usable('list', 'DEL', 'context:' .. list .. ':' .. element)
  if is(JSON, 'vcon:' .. uuid) or is('string', 'vcon:' .. uuid) then
    unindex_document(uuid)
    remove_document(uuid)
  end
  moves = moves + 1
  return moves < MOVES
end

-- Claim the next element of a list, or move it elsewhere; false when there is none.
local function take(list)
  local element, source = next_of(list)
  if not element then
    return false
  end
  local uuid, run, hold = split(list, element)
  local count, past_run, suspect = past_of(list, element)
  run = past_run or run
  local place, why = list .. '\n' .. element, objection(list, uuid, run)
  if why then
    errors[#errors + 1] = why
    return put_aside(source, place)
  end
  -- elements that other programs have queued have no hold yet
  if redis.call('HEXISTS', 'pc:locks', uuid) == 1 then
    if_usable('set', 'SADD', 'pc:holds:' .. uuid, hold)
    return move(source, 'pc:waiting:' .. uuid, place)
  end
  if suspect and not for_suspects then
    return move(source, 'pc:suspects:' .. list, element)
  end
  redis.call('LPOP', source)
  if is_erased(uuid) then
    return drop(list, element, uuid, run, hold)
  end
  local journal, known = '', run
  if known then
    journal = redis.call('GET', 'pc:run:' .. run) or ''
  else
    run, fresh = ARGV[fresh], fresh + 1
  end
  if is_marked(journal) then -- else a version that ignores marks has dropped them, or the checkpoint is lost
    count = without_mark(count)
  end
  redis.call('HSET', 'pc:locks', uuid, worker)
  local token = redis.call('INCR', 'pc:tokens')
  redis.call('HSET', inflight, uuid, token .. '\n' .. run .. '\n' .. list .. '\n' .. element)
  redis.call('PERSIST', 'vcon:' .. uuid)
  if_usable('set', 'SADD', 'pc:holds:' .. uuid, hold)
  local cancelled = known and redis.call('EXISTS', 'pc:cancel:' .. run) or 0
  local left = 'context:' .. list .. ':' .. element
  local context = traced and is('list', left) and redis.call('LPOP', left) or ''
  local envelope, critical = form_of(uuid)
  local sealed = envelope and 1 or 0
  local about = 'pc:about:' .. uuid
  local noted = is('hash', about)
  local claim = {
    list, element, uuid, run, count + 1, journal, token, context, cancelled, sealed, critical,
    noted and size_of(about) or -1,
  }
  if custody and noted then
    local refs, in_redis = unpack(redis.call('HMGET', about, 'custody:' .. hold, 'custody:'))
    claim[13], claim[14], claim[15] = refs or '', in_redis or '', generation
  end
  reply[#reply + 1] = claim
  return true
end

-- Whether a list and those that its chain forwards to can be used.
local function is_usable(list, outputs)
  local names = {list}
  for name in string.gmatch(outputs, '[^\n]+') do
    names[#names + 1] = name
  end
  return is('hash', 'pc:attempts:' .. list) and not wrong_type('list', unpack(names))
end

local lists, open, closed, paused = {}, {}, {}, {}
local drained = replica ~= '' and entries_of('pc:drained', now)(replica)
local is_paused = entries_of('pc:paused', now)
for at = 1, n do
  local row = ARGV[FIRST - 1 + at]
  local list = string.match(row, '^[^\n]*')
  lists[at] = list
  if redis.call('EXISTS', list, 'pc:suspects:' .. list) > 0 then -- most lists are empty
    local chain, outputs = string.match(row, '\n:([^\n]*)(.*)$')
    if drained or is_paused(chain) then
      paused[#paused + 1] = list
    elseif is_usable(list, outputs) then
      open[at] = true
    else
      closed[#closed + 1] = list
    end
  end
end

local pool_of = {}
for free, kept, soft, members in string.gmatch(ARGV[8], '(%d+):(%d+):(%d):([%d ]*)') do
  local pool = {free = tonumber(free), kept = tonumber(kept), soft = soft == '1'}
  for at in string.gmatch(members, '%d+') do
    pool_of[tonumber(at)] = pool
  end
end

for beyond, number in string.gmatch(ARGV[7], '(-?)(%d+)') do
  if #reply >= want or next(open) == nil then
    break
  end
  local at = tonumber(number)
  local pool, before = pool_of[at], #reply
  local may = beyond == '' and (pool.soft or pool.free > 0) or pool.free > pool.kept
  while may and open[at] and #reply == before do
    open[at] = take(lists[at]) or nil
  end
  pool.free = pool.free - (#reply - before)
end

local further = {}
for at = 1, n do
  if open[at] and redis.call('EXISTS', lists[at]) == 1 then
    further[#further + 1] = lists[at]
  end
end

local wait = -1
local first = delays and redis.call('ZRANGE', 'pc:later', 0, 0, 'WITHSCORES') or {}
if first[2] then
  wait = math.max(0, tonumber(first[2]) - now)
end
return {'ok', wait, errors, closed, paused, further, unpack(reply)}
