#!lua flags=allow-oom
-- Take vCons out of dead-letter lists and queue them again; each of them completely or not at all.
-- ARGV: run expiry (s), trace context or "", n, then n times: uuid, uuid to queue, target list,
--       element, run (and a space and its row of custody, if it has one), run JSON, failed run or "", n letters, then n times: dead-letter list, position
--       of the uuid there, see parts/take_at.lua ("": unknown, or not there); at the end, for runs of
--       a canary: seconds for which their ends are published on pc:finished, then for each of them
--       how many attempts count as used.
-- The first dead-letter list is the requested one: a vCon that is no longer in it is left unchanged,
-- and so is one that was erased, or whose list, or one of whose dead-letter lists, has another type. A vCon that failed
-- in several chains stays in the lists with the reasons of the other runs.
-- Returns the runs that were queued; or, with nothing changed, {"unapproved"} or {"generation"}: the
-- first row must not be carried out here, see parts/approved.lua.
-- uses: usable, clock, causes, reasons, leave_context, clear_missing, take_at, approved, custody, erased
local context, replayed, at = ARGV[2], {}, 4

local wrong = wrong_type('hash', 'pc:locks')
if wrong then
  return redis.error_reply(wrong)
end

-- Whether the vCon is being processed, or has changed since the caller read its state.
local function must_wait(uuid, list, element, failed)
  return is_erased(uuid) or not is('list', list) or not is('hash', 'pc:attempts:' .. list)
    or redis.call('HEXISTS', 'pc:locks', uuid) == 1
    or redis.call('HEXISTS', 'pc:attempts:' .. list, element) == 1
    or (failed ~= '' and redis.call('EXISTS', 'pc:run:' .. failed) == 0)
end

local function usable_letters(first, n)
  for i = first, first + 2 * n - 1, 2 do
    if not is('list', ARGV[i]) or not is('hash', 'pc:dead:' .. ARGV[i]) then
      return false
    end
  end
  return true
end

-- Take a uuid out of all lists, if it is in the first and near its positions in the others.
local function take_letters(uuid, first, n)
  for i = first, first + 2 * n - 1, 2 do
    if not find_at(ARGV[i], uuid, ARGV[i + 1]) and (i == first or ARGV[i + 1] ~= '') then
      return false
    end
  end
  for i = first, first + 2 * n - 1, 2 do
    local at = find_at(ARGV[i], uuid, ARGV[i + 1])
    if at then
      take_at(ARGV[i], uuid, at)
    end
  end
  return true
end

-- Where the part for a canary begins.
local canary = at
for _ = 1, tonumber(ARGV[3]) do
  canary = canary + 8 + 2 * ARGV[canary + 7]
end

local objection = tonumber(ARGV[3]) > 0 and objection_to(ARGV[at + 4])
if objection then
  return {objection}
end
for number = 1, tonumber(ARGV[3]) do
  local uuid, queued, list, element, named, journal, failed = unpack(ARGV, at, at + 6)
  local run, ref = string.match(named, '^(%S*) ?(.*)$')
  local n, first = tonumber(ARGV[at + 7]), at + 8
  if not must_wait(queued, list, element, failed) and not is_erased(uuid) and usable_letters(first, n)
    and is('string', 'pc:run:' .. run) and take_letters(uuid, first, n) then
    for i = first, first + 2 * n - 1, 2 do
      if_usable('set', 'SREM', 'pc:unsure:' .. ARGV[i], uuid)
      if #drop_reason(ARGV[i], uuid, list, ARGV[1]) > 0 then
        redis.call('RPUSH', ARGV[i], uuid)
        clear_missing(ARGV[i], uuid)
      else
        if_usable('set', 'SREM', 'pc:holds:' .. uuid, ARGV[i])
        end_custody(uuid, ARGV[i], 'replayed')
      end
    end
    redis.call('SET', 'pc:run:' .. run, journal)
    local used = ARGV[canary + number] or '0'
    redis.call('HSET', 'pc:attempts:' .. list, element, used .. '\n' .. run .. '\n0')
    if ARGV[canary] and if_usable('set', 'SADD', 'pc:awaited', run) == 1 then
      redis.call('EXPIRE', 'pc:awaited', ARGV[canary])
    end
    local is_run_list = string.sub(list, 1, 4) == 'run:'
    if_usable('set', 'SADD', 'pc:holds:' .. queued, is_run_list and (list .. '|' .. run) or list)
    redis.call('PERSIST', 'vcon:' .. queued)
    redis.call('RPUSH', list, element)
    leave_context('RPUSH', list, element, context)
    note_custody(queued, is_run_list and (list .. '|' .. run) or list, ref)
    replayed[#replayed + 1] = run
  end
  at = first + 2 * n
end
return replayed
