#!lua flags=allow-oom
-- End the claim of one run. Returns 1; 0 when this worker no longer holds it, and nothing changes.
-- ARGV: worker, uuid, token, how, run JSON ("" keeps the checkpoint), run expiry (s), delay (ms, for
--       "later" and "aside"), vCon expiry (s), uuid out, its document or patch ("" leaves it), trace
--       context or "" (for the egress lists, or for the next claim), saved (0/1), n egress, egress
--       lists (with a line break and the uuid of a version that they get in place of the uuid out)..., n dead, dead-letter list + reason..., notes for the index (JSON) about the uuid out
--       and about the uuid, if that is another, "recorded" if Postgres has the run or JSON about
--       custody that its history gets or "", n rows of custody that were released, vCon + place +
--       rows..., vCon + place + row of those that begin...
-- how: "finish"  the run is over: forward it to egress lists and dead-letter lists;
--      "later"   the attempt failed: claimed again after the delay, as the next attempt;
--      "aside"   it cannot be settled now: claimed again after the delay, as the same attempt;
--      "return"  back to the head of its list, as the same attempt.
-- Refused as a whole, with the name of the key, when a list, a document or a record has another type.
-- Holds, trace contexts and the history are skipped if their keys are unusable.
-- Of a vCon that was erased meanwhile nothing is written or forwarded, and its element is dropped.
-- The version is a document of its own, which the worker has written under an expiry of its own.
-- uses: usable, place, seal, patch, clock, let_go, hold_back, put_back, element, wake_waiting, causes, reasons, leave_context, stands_in, copies, clear_missing, index_note, custody, marked, erased
local worker, uuid, how, journal = ARGV[1], ARGV[2], ARGV[4], ARGV[5]
local inflight = 'pc:inflight:' .. worker
local wrong = wrong_type('hash', inflight, 'pc:locks')
if wrong then
  return redis.error_reply(wrong)
end
local held = redis.call('HGET', inflight, uuid)
if not held then
  return 0
end
local token, run, list, element = string.match(held, '^(%d+)\n(.-)\n(.-)\n(.*)$')
if token ~= ARGV[3] then
  return 0
end

local attempts, run_key = 'pc:attempts:' .. list, 'pc:run:' .. run
local out, document, context = ARGV[9], ARGV[10], ARGV[11]
local erased = {[uuid] = is_erased(uuid)}
if out ~= uuid then
  erased[out] = is_erased(out)
end
if erased[out] then
  document = ''
end
if erased[uuid] and how ~= 'finish' then
  how = 'drop'
end
wrong = wrong_type('hash', attempts) or wrong_type('string', run_key)
if document ~= '' then
  wrong = wrong or wrong_type(JSON, 'vcon:' .. out)
end
if how == 'finish' then
  local at = 13
  for i = at + 1, at + ARGV[at] do
    local name = string.match(ARGV[i], '^[^\n]*')
    wrong = wrong or wrong_type('list', name) or wrong_type('set', 'pc:unread:' .. name)
  end
  at = at + ARGV[at] + 1
  for i = at + 1, at + 2 * ARGV[at], 2 do
    wrong = wrong or wrong_type('list', ARGV[i]) or wrong_type('hash', 'pc:dead:' .. ARGV[i])
  end
elseif not is('zset', 'pc:later') or redis.call('ZSCORE', 'pc:later', list .. '\n' .. element) then
  wrong = wrong or wrong_type('list', list) -- one of the two must take it
end
if wrong then
  return redis.error_reply(wrong)
end
if document ~= '' then -- first, since Redis may refuse it
  local gone = write_document(out, document)
  if gone then
    return redis.error_reply(gone)
  end
end

redis.call('HDEL', inflight, uuid)
redis.call('HDEL', 'pc:locks', uuid)
local past = redis.call('HGET', attempts, element)
local count = past and tonumber(string.match(past, '^(%d+)') or 0) or 0
local is_run_list = string.sub(list, 1, 4) == 'run:'

hold_back(uuid)
if out ~= uuid then
  hold_back(out)
end

-- Put the element among the delayed retries; if they are unusable, or have the same element already,
-- at the end of its list.
local function delay_it()
  local place, due = list .. '\n' .. element, now_ms() + ARGV[7]
  if if_usable('zset', 'ZADD', 'pc:later', 'NX', due, place) == 0 then
    redis.call('RPUSH', list, element)
  end
end

-- A uuid is in a dead-letter list once. A registered one was added earlier, but another program may
-- have taken it out. If searching the list would take long, the uuid is noted in pc:unsure:{list}; the
-- sweep, which reads the whole list, adds it if it is missing.
local function add_letter(letters, who, reason)
  local reasons, stands = {}, false
  if redis.call('HEXISTS', 'pc:dead:' .. letters, who) == 1 then
    reasons = drop_reason(letters, who, list, ARGV[6]) -- of an earlier run that this one repeated
    stands = stands_in(letters, who)
  end
  table.insert(reasons, 1, decoded(reason) or {})
  set_reasons(letters, who, reasons, true)
  if stands == false then
    redis.call('RPUSH', letters, who)
  elseif stands == nil then
    if_usable('set', 'SADD', 'pc:unsure:' .. letters, who)
  end
  clear_missing(letters, who)
end

if how ~= 'finish' and how ~= 'drop' then -- popped from the head: its context goes before those of later elements
  leave_context('LPUSH', list, element, context)
  if journal ~= '' then
    redis.call('SET', run_key, journal)
  end
  local used = how == 'later' and count + 1 or count
  redis.call('HSET', attempts, element, used .. '\n' .. run .. '\n0')
  if journal ~= '' and used >= MARKED then
    note_marks(attempts, element, run, journal)
  end
end
if how == 'later' or how == 'aside' then
  delay_it()
elseif how == 'return' then
  put_back(list, element)
elseif how == 'drop' then
  redis.call('HDEL', attempts, element)
  redis.call('DEL', run_key)
  if_usable('set', 'SREM', 'pc:holds:' .. uuid, is_run_list and (list .. '|' .. run) or list)
  redis.call('PUBLISH', 'pc:finished', run)
else
  if past then
    redis.call('HDEL', attempts, element)
  end
  local at = 13
  local n = tonumber(ARGV[at])
  local version = n > 0 and string.match(ARGV[at + 1], '\n(.+)$')
  local sent = version or out
  if version and erased[out] then
    remove_document(version)
  elseif version then
    redis.call('PERSIST', 'vcon:' .. version)
  end
  for i = at + 1, erased[out] and at or at + n do
    local name = string.match(ARGV[i], '^[^\n]*')
    redis.call('RPUSH', name, sent)
    leave_context('RPUSH', name, sent, context)
    add_copy(name, sent)
    clear_missing(name, sent)
    if_usable('set', 'SADD', 'pc:holds:' .. sent, name)
  end
  at = at + n + 1
  local dead, is_dead = tonumber(ARGV[at]), false
  for i = at + 1, at + 2 * dead, 2 do
    local letters = ARGV[i]
    -- those of a storage, and withheld ones, name the vCon after the links; an ingress list's, the one before
    local is_after = string.sub(letters, 1, 12) == 'DLQ:storage:' or string.sub(letters, 1, 18) == 'DLQ:vcon:withheld:'
    local who = is_after and out or uuid
    if not erased[who] then
      is_dead = true
      add_letter(letters, who, ARGV[i + 1])
      if_usable('set', 'SADD', 'pc:holds:' .. who, letters)
    end
  end
  if is_dead then
    redis.call('SET', run_key, journal) -- no expiry: a replay resumes from it
  else
    redis.call('SET', run_key, journal, 'EX', ARGV[6])
  end
  at = at + 2 * dead + 1
  local kept = ARGV[at + 2]
  if kept ~= 'recorded' then
    local told = kept == '' and journal or string.sub(journal, 1, -2) .. ',"custody":' .. kept .. '}'
    if_usable('list', 'RPUSH', 'pc:history', told)
  end
  local begin = at + 4 + 3 * ARGV[at + 3]
  for i = at + 4, begin - 1, 3 do
    drop_custody(ARGV[i], ARGV[i + 1], ARGV[i + 2])
  end
  for i = begin, #ARGV, 3 do
    if not erased[ARGV[i]] then
      note_custody(ARGV[i], ARGV[i + 1], ARGV[i + 2])
    end
  end
  if not erased[out] then
    note_for_index(out, ARGV[at])
  end
  if out ~= uuid and not erased[uuid] then
    note_for_index(uuid, ARGV[at + 1])
  end
  if version and not erased[out] then
    note_for_index(version, ARGV[at + 1])
  end
  local in_run_list = is_run_list and string.find(element, '|', 1, true)
  if_usable('set', 'SREM', 'pc:holds:' .. uuid, in_run_list and (list .. '|' .. run) or list)
  if ARGV[12] == '1' and not erased[out] then
    if_usable('hash', 'HSET', 'pc:about:' .. out, 'saved', 1)
  end
  let_go(out, ARGV[8])
  if out ~= uuid then
    let_go(uuid, ARGV[8])
  end
  if is_run_list or if_usable('set', 'SREM', 'pc:awaited', run) == 1 then
    redis.call('PUBLISH', 'pc:finished', run)
  end
end

wake_waiting(uuid)
return 1
