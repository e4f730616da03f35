-- What Redis knows of one vCon at one moment, without its document; changes nothing.
-- ARGV: uuid, sorted set. The theory is at the head of pipeline/operator/backup/redis_reader.py.
-- Returns {type of the document, its ms to live, score in the sorted set or "", the in-flight value or
-- "", usable holds (0/1), {fields and values of pc:about}, {hold, attempts, reason, unread (0/1),
-- further copies, ...}, {run, JSON, ms to live, ...}}.
-- A key of another type counts as one that does not exist.
-- uses: usable, clock, causes, reasons
local uuid, sorted_set = ARGV[1], ARGV[2]
local document, about, holds = 'vcon:' .. uuid, 'pc:about:' .. uuid, 'pc:holds:' .. uuid
local runs, seen = {}, {}

local function note_run(run)
  local key = 'pc:run:' .. (run or '')
  if not run or run == '' or seen[run] or not is('string', key) then
    return
  end
  seen[run] = true
  local journal = redis.call('GET', key)
  if journal then
    runs[#runs + 1], runs[#runs + 2], runs[#runs + 3] = run, journal, redis.call('PTTL', key)
  end
end

local function in_flight()
  local lock = is('hash', 'pc:locks') and redis.call('HGET', 'pc:locks', uuid)
  local key = 'pc:inflight:' .. string.match(lock or '', '^[^\n]*')
  return lock and is('hash', key) and redis.call('HGET', key, uuid) or ''
end

local function value_of(key, field)
  return is('hash', key) and redis.call('HGET', key, field) or ''
end

local function has(hold, all)
  for _, each in ipairs(all) do
    if each == hold then
      return true
    end
  end
  return false
end

-- The holds, and that of a claim, which may be missing: of an earlier version, or beside holds of
-- another type.
local function holds_with_claim(claim)
  local all = holds_of(uuid)
  local _, run, list, element = string.match(claim, '^(%d+)\n(.-)\n(.-)\n(.*)$')
  local hold = run and (element == uuid and list or list .. '|' .. run)
  if hold and not has(hold, all) then
    all[#all + 1] = hold
  end
  return all
end

local held = in_flight()
note_run(string.match(held, '^%d+\n(.-)\n'))
local told = {}
for _, hold in ipairs(holds_with_claim(held)) do
  local list, run = string.match(hold, '^(run:.*)|(.-)$')
  local element = run and (uuid .. '|' .. run) or uuid
  local attempts = value_of('pc:attempts:' .. (list or hold), element)
  local unread = 'pc:unread:' .. hold
  note_run(run)
  note_run(string.match(attempts, '^%d+\n(.-)\n%d$'))
  for _, reason in ipairs(reasons_of(hold, uuid)) do
    note_run(type(reason.run_id) == 'string' and reason.run_id or nil)
  end
  for _, each in ipairs({
    hold, attempts, value_of('pc:dead:' .. hold, uuid),
    is('set', unread) and redis.call('SISMEMBER', unread, uuid) or 0,
    value_of('pc:again:' .. hold, uuid),
  }) do
    told[#told + 1] = each
  end
end
local score = is('zset', sorted_set)
  and (redis.call('ZSCORE', sorted_set, uuid) or redis.call('ZSCORE', sorted_set, document)) or ''
return {
  redis.call('TYPE', document)['ok'], redis.call('PTTL', document), score, held,
  is('set', holds) and 1 or 0, is('hash', about) and redis.call('HGETALL', about) or {}, told, runs
}
