#!lua
-- Store, index and queue one vCon, completely or not at all.
-- ARGV: uuid, document ("" for a large one that may not be needed), created_at (epoch s), digests (a
--       line each), sorted set, max depth, trace context or "", owner (a partner's key lineage, or ""
--       for the internal API, which may replace every vCon), Postgres' answer about that owner
--       ("mine", "new", "seen", or "unknown" while Postgres is unavailable), the key for the digest
--       of the vCon of a RunChain with an idempotency key or "", the key for a request over HTTP with
--       an idempotency key or "", the digest of its lists, the time of receipt if it is the vCon's
--       created_at or "", the row of custody (parts/custody.lua), "" or "?" (there is none
--       yet), n lists, lists..., index keys...
-- Returns {"new" | "duplicate" | "replaced"}, a duplicate with its first time of receipt or "" and with
-- the number of lists that got it now, and the lists for which the row is needed; or, with nothing
-- changed: {"busy"} while a run works on the vCon, {"foreign"} when another owner has it,
-- {"unsure"} when that cannot be decided without Postgres, {"full", list}, {"used"} when the key of a
-- RunChain was used with another digest, {"reused"} when that of a request over HTTP was used with
-- another digest or other lists, {"gone"} when the vCon was erased, {"stage"} when the document is needed, {"unapproved"},
-- {"generation"} and {"stale"} when the row must not be carried out on this server, not under this
-- generation, or after a later one. A request over HTTP that was
-- carried out with its key is a duplicate that changes nothing, even if the vCon is gone or replaced.
--
-- The call is harmless to repeat: pc:about:{uuid} keeps the digest of the document and each list
-- that got the uuid, so a repetition reports a duplicate and queues nothing twice.
--
-- The first digest is the one that is written; the second is that of the release before, which may
-- have written the document. A fourth line is there if the vCon was signed: the digest of its original,
-- under whose name that has been written. It becomes that of the vCon, unless this is a duplicate of one
-- that has an original which stays. The fifth line names that (parts/original.lua), or is "*" for each.
-- A third line has the bytes of a vCon with its media, if those are beside
-- the document.
-- uses: usable, clock, causes, reasons, leave_context, place, seal, index, custody, approved, erased, original
local uuid, document, created = ARGV[1], ARGV[2], ARGV[3]
local digest, earlier, bytes, signed, stays =
  string.match(ARGV[4], '^([^\n]*)\n?([^\n]*)\n?(%d*)\n?(%x*)\n?([^\n]*)$')
local sorted_set, max_depth, context = ARGV[5], tonumber(ARGV[6]), ARGV[7]
local owner, claim, digest_key, request = ARGV[8], ARGV[9], ARGV[10], ARGV[11]
local lists_digest, received, ref, n, first_list = ARGV[12], ARGV[13], ARGV[14], tonumber(ARGV[15]), 16
local key, about, holds = 'vcon:' .. uuid, 'pc:about:' .. uuid, 'pc:holds:' .. uuid

-- A vCon of which nothing is known yet, as nearly all are, has no keys to check, free or compare: that
-- saves half of the commands.
local fresh = redis.call('EXISTS', key, about, holds, 'pc:tombstone:' .. uuid) == 0
if not fresh and is_erased(uuid) then
  drop_offered(uuid, signed)
  return {'gone'}
end

-- Index keys and the sorted set are skipped if they have another type.
local wrong = wrong_type('hash', 'pc:locks', 'pc:owners')
if not fresh then
  wrong = wrong or wrong_type('hash', about) or wrong_type(JSON, key) or wrong_type('set', holds)
end
for i = first_list, first_list + n - 1 do
  wrong = wrong or wrong_type('list', ARGV[i])
end
if digest_key ~= '' then
  wrong = wrong or wrong_type('string', digest_key)
end
if request ~= '' then
  wrong = wrong or wrong_type('string', request)
end
if wrong then
  return redis.error_reply(wrong)
end

local unfit = objection_to(ref)
if unfit then
  return {unfit}
end
if not fresh and ref ~= '' and ref ~= '?'
  and (tonumber(redis.call('HGET', about, 'version') or 0) or 0) > number_of(ref) then
  return {'stale'}
end

local here = not fresh and redis.call('EXISTS', key) == 1
local function is_this(known)
  return known == digest or earlier ~= '' and known == earlier
end

local carried_out = request ~= '' and redis.call('GET', request)
local same = here and is_this(redis.call('HGET', about, 'digest'))

-- Whether the original that was offered becomes that of a vCon which is here.
local kept = same and signed ~= '' and original_of(uuid) or ''
local stays_kept = kept ~= '' and (stays == '*' or stays == kept)
local replaces = same and signed ~= '' and signed ~= kept and not stays_kept

-- Lists that wait for a run of this content without a row, such as of one that came in while Postgres
-- was away, or whose row does not have the original; a run that has begun knows no row that comes later.
local bare = {}
if ref ~= '' and same and redis.call('HEXISTS', 'pc:locks', uuid) == 0 then
  for i = first_list, first_list + n - 1 do
    if (replaces or redis.call('HEXISTS', about, 'custody:' .. ARGV[i]) == 0)
      and redis.call('SISMEMBER', holds, ARGV[i]) == 1 then
      bare[#bare + 1] = ARGV[i]
    end
  end
end
local function keep_bare()
  for _, list in ipairs(bare) do
    note_custody(uuid, list, ref)
  end
end

if carried_out then
  local content, lists, at = string.match(carried_out, '^([^\n]*)\n([^\n]*)\n([^\n]*)$')
  if not (content and is_this(content) and lists == lists_digest) then
    return {'reused'}
  end
  if ref == '?' and #bare > 0 then
    return {'stage'}
  end
  keep_bare()
  return {'duplicate', at, 0, unpack(bare)}
end

-- The internal API is the owner ''. A vCon without an owner came by neither API, or is a copy that was
-- brought back from a storage.
local known = not fresh and redis.call('HGET', about, 'owner')
  or redis.call('HGET', 'pc:owners', uuid)
if owner ~= '' and claim ~= 'mine' and known ~= owner then
  if claim == 'unknown' then
    return {'unsure'}
  end
  if known or here or claim == 'seen' then
    return {'foreign'}
  end
end

local first = digest_key ~= '' and redis.call('GET', digest_key) or digest
if not is_this(first) then
  return {'used'}
end

-- Whether a run holds the vCon, or has begun and waits for its next attempt.
local function is_processed()
  if redis.call('HEXISTS', 'pc:locks', uuid) == 1 then
    return true
  end
  for _, hold in ipairs(fresh and {} or holds_of(uuid)) do
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
for i = first_list, first_list + n - 1 do
  local list = ARGV[i]
  if not (same and redis.call('HEXISTS', about, 'in:' .. list) == 1) then
    if redis.call('LLEN', list) >= max_depth then
      return {'full', list}
    end
    wanted[#wanted + 1] = list
  end
end

if not same and document == '' or ref == '?' and #wanted + #bare > 0 then
  return {'stage'}
end
local function forget_earlier_document()
  unindex(uuid)
  -- a replay of a run that failed with the old document must not skip links on the new one
  for _, hold in ipairs(holds_of(uuid)) do
    for _, reason in ipairs(reasons_of(hold, uuid)) do
      if type(reason.run_id) == 'string' then
        if_usable('string', 'DEL', 'pc:run:' .. reason.run_id)
      end
    end
  end
  redis.call('PERSIST', key)
  local held = custody_of(uuid)
  redis.call('DEL', about)
  if #held > 0 then
    redis.call('HSET', about, unpack(held))
  end
end

local noted = {} -- fields of `about`
if not same then
  local gone = put_document(uuid, document, fresh) -- first, since Redis may refuse it
  if gone then
    return redis.error_reply(gone)
  end
  if not fresh then
    forget_earlier_document()
  end
  if is_staged(document) then
    note_large(uuid, document)
  end
  if_usable('zset', 'ZADD', sorted_set, created, uuid)
  local index = {}
  for i = first_list + n, #ARGV do
    if is('set', ARGV[i]) then
      index[#index + 1] = ARGV[i]
      redis.call('SADD', ARGV[i], uuid)
      redis.call('PERSIST', ARGV[i]) -- other programs let index keys expire after a day
    end
  end
  local its = owner ~= '' and owner or known or ''
  noted = {'digest', digest, 'index', cjson.encode(index), 'owner', its}
  if not is_staged(document) then
    noted[7], noted[8] = 'bytes', tonumber(bytes) or #document
  end
  if received ~= '' then
    noted[#noted + 1], noted[#noted + 2] = 'received', received
  end
  if ref ~= '' then
    noted[#noted + 1], noted[#noted + 2] = 'version', number_of(ref)
  end
  if not known then
    redis.call('HSET', 'pc:owners', uuid, its)
  end
end
if stays_kept then
  drop_offered(uuid, signed)
elseif signed ~= '' and put_original(uuid, signed) then
  noted[#noted + 1], noted[#noted + 2] = 'original', signed
elseif not same then
  if_usable('string', 'DEL', 'pc:signed:' .. uuid)
end
if digest_key ~= '' then
  redis.call('SET', digest_key, first, 'EX', 86400)
end
local at = same and received ~= '' and redis.call('HGET', about, 'received') or received
if request ~= '' then
  redis.call('SET', request, digest .. '\n' .. lists_digest .. '\n' .. at, 'EX', 86400)
end
for _, list in ipairs(wanted) do
  noted[#noted + 1], noted[#noted + 2] = 'in:' .. list, 1
  add_custody(noted, uuid, list, ref)
end
if n == 0 and not same then
  add_custody(noted, uuid, '', ref)
end
if #noted > 0 then
  redis.call('HSET', about, unpack(noted))
end
if signed ~= '' and not same then
  seal(uuid)
end
if #wanted > 0 then
  redis.call('SADD', holds, unpack(wanted))
  redis.call('PERSIST', key)
end
for _, list in ipairs(wanted) do
  redis.call('RPUSH', list, uuid)
  leave_context('RPUSH', list, uuid, context)
end
if same then
  keep_bare()
  local queued = #wanted
  for _, list in ipairs(ref ~= '' and wanted or {}) do
    bare[#bare + 1] = list
  end
  return {'duplicate', at, queued, unpack(bare)}
end
return {here and 'replaced' or 'new'}
