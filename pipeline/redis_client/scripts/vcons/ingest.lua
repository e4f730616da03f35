#!lua
-- Store, index and enqueue one vCon, all or nothing.
-- ARGV: uuid, document, created_at (epoch s), digests, a line each, sorted set, max depth, trace context or "",
--       owner (the lineage of a partner's key, or "" for the internal API, which may replace all),
--       what Postgres says of the owner's claim ("mine", "new", "seen" or, while it is away, "unknown"),
--       where to remember the digest for the idempotency key of the request or "",
--       n lists, lists..., index keys...
-- Returns {"new" | "duplicate" | "replaced"}, {"busy"}, {"foreign"}, {"unsure"}, {"full", list}, or
-- {"used"} when the idempotency key was used with another digest.
-- Repeating it is harmless: the digest tells that this very document is here already, and each
-- list that got the uuid is remembered beside the digest.
-- {"stage"}: the document was not given (""), since it is a large one, and is needed.
--
-- The first digest is written; the second one is that of the version before, whose digests stay in
-- Redis for a while.
-- uses: usable, reasons, leave_context, place, index
local uuid, document, created = ARGV[1], ARGV[2], ARGV[3]
local digest, earlier = string.match(ARGV[4], '^([^\n]*)\n?(.*)$')
local sorted_set, max_depth, context = ARGV[5], tonumber(ARGV[6]), ARGV[7]
local owner, claim, digest_key, n = ARGV[8], ARGV[9], ARGV[10], tonumber(ARGV[11])
local key, about, holds = 'vcon:' .. uuid, 'pc:about:' .. uuid, 'pc:holds:' .. uuid

-- Places in the index and in the sorted set are passed over where another type stands in the way.
local wrong = wrong_type('hash', 'pc:locks', 'pc:owners', about) or wrong_type(JSON, key)
  or wrong_type('set', holds)
for i = 12, 11 + n do
  wrong = wrong or wrong_type('list', ARGV[i])
end
if digest_key ~= '' then
  wrong = wrong or wrong_type('string', digest_key)
end
if wrong then
  return redis.error_reply(wrong)
end

local here = redis.call('EXISTS', key) == 1
local function tells_this(known)
  return known == digest or earlier ~= '' and known == earlier
end
local same = here and tells_this(redis.call('HGET', about, 'digest'))

-- Ours is ''. Without any it came in by no door, or is a copy that was brought back for a while.
local known = redis.call('HGET', about, 'owner') or redis.call('HGET', 'pc:owners', uuid)
if owner ~= '' and claim ~= 'mine' and known ~= owner then
  if claim == 'unknown' then
    return {'unsure'}
  end
  if known or here or claim == 'seen' then
    return {'foreign'}
  end
end

local first = digest_key ~= '' and redis.call('GET', digest_key) or digest
if not tells_this(first) then
  return {'used'}
end

-- A run is at work on it, or has begun and waits for its next attempt.
local function is_processed()
  if redis.call('HEXISTS', 'pc:locks', uuid) == 1 then
    return true
  end
  for _, hold in ipairs(holds_of(uuid)) do
    local list, run = string.match(hold, '^(run:.*)|(.-)$')
    local element = run and (uuid .. '|' .. run) or uuid
    if if_usable('hash', 'HEXISTS', 'pc:attempts:' .. (list or hold), element) == 1 then
      return true
    end
  end
  return false
end
if not same and is_processed() then
  return {'busy'}
end
local wanted = {}
for i = 12, 11 + n do
  local list = ARGV[i]
  if not (same and redis.call('HEXISTS', about, 'in:' .. list) == 1) then
    if redis.call('LLEN', list) >= max_depth then
      return {'full', list}
    end
    wanted[#wanted + 1] = list
  end
end

if not same and document == '' then
  return {'stage'}
end
if not same then
  local gone = put_document(uuid, document) -- first, since Redis may refuse it
  if gone then
    return redis.error_reply(gone)
  end
  unindex(uuid)
  -- runs that failed with the old content: a replay must not skip links on the new one
  for _, hold in ipairs(holds_of(uuid)) do
    for _, reason in ipairs(reasons_of(hold, uuid)) do
      if type(reason.run_id) == 'string' then
        if_usable('string', 'DEL', 'pc:run:' .. reason.run_id)
      end
    end
  end
  redis.call('PERSIST', key)
  redis.call('DEL', about)
  note_large(uuid, document)
  if_usable('zset', 'ZADD', sorted_set, created, uuid)
  local index = {}
  for i = 12 + n, #ARGV do
    if is('set', ARGV[i]) then
      index[#index + 1] = ARGV[i]
      redis.call('SADD', ARGV[i], uuid)
      redis.call('PERSIST', ARGV[i]) -- other writers let the index go after a day
    end
  end
  local its = owner ~= '' and owner or known or ''
  redis.call('HSET', about, 'digest', digest, 'index', cjson.encode(index), 'owner', its)
  if not known then
    redis.call('HSET', 'pc:owners', uuid, its)
  end
end
if digest_key ~= '' then
  redis.call('SET', digest_key, first, 'EX', 86400)
end
for _, list in ipairs(wanted) do
  redis.call('HSET', about, 'in:' .. list, 1)
  redis.call('SADD', holds, list)
  redis.call('RPUSH', list, uuid)
  leave_context('RPUSH', list, uuid, context)
end
if #wanted > 0 then
  redis.call('PERSIST', key)
end
if same then
  return {'duplicate'}
end
return {here and 'replaced' or 'new'}
