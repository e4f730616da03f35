#!lua
-- Put one row of custody back into Redis, as far as Redis does not know it.
-- ARGV: recovery ("?": change nothing, and return what would be put back), row (parts/custody.lua), uuid, document ("" to look whether it is needed), created_at
--       (epoch s), sorted set, digest, owner, is an owner known (0/1), time of receipt or "", search keys
--       (JSON), bytes of the vCon, digest of its signed original, which was offered, or "", then for each place seven: place, kind, list, element, attempts and run (two lines) or
--       "", run JSON or "", reason (JSON) or "".
-- kind: "new"    a list that a request brought the vCon for; known also by the same content in Redis;
--       "list"   a list, or the run list of a requested run;
--       "egress" a list that other programs read;
--       "dead"   a dead-letter list;
--       "none"   Redis itself.
-- Returns {"ok", places that got it...}; {"stage"} when the document is needed; {"lost"} when Redis does
-- not have the mark of this recovery; {"unusable", error} when a key has another type.
--
-- Of a vCon that was erased nothing is put back.
--
-- Redis knows a place if pc:about names this row or a later one for it, or has its hold.
-- uses: usable, clock, causes, reasons, place, seal, index, custody, stands_in, copies, clear_missing, erased, original
local mark, ref, uuid, document = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local digest, key, about, holds = ARGV[7], 'vcon:' .. ARGV[3], 'pc:about:' .. ARGV[3], 'pc:holds:' .. ARGV[3]
local own, signed, first = number_of(ref), ARGV[13], 14
if mark ~= '?' and if_usable('hash', 'HGET', 'pc:epoch', 'recovering') ~= mark then
  return {'lost'}
end
if is_erased(uuid) then
  drop_offered(uuid, signed)
  return {'ok'}
end
local wrong = wrong_type('hash', about) or wrong_type(JSON, key) or wrong_type('set', holds)
for i = first, #ARGV, 7 do
  local kind, list = ARGV[i + 1], ARGV[i + 2]
  if kind ~= 'none' then
    wrong = wrong or wrong_type('list', list)
  end
  if kind == 'dead' then
    wrong = wrong or wrong_type('hash', 'pc:dead:' .. list)
  elseif kind == 'egress' then
    wrong = wrong or wrong_type('set', 'pc:unread:' .. list)
  elseif ARGV[i + 4] ~= '' then
    wrong = wrong or wrong_type('hash', 'pc:attempts:' .. list)
  end
end
if wrong then
  return {'unusable', wrong}
end

local here = redis.call('EXISTS', key) == 1
local version = tonumber(redis.call('HGET', about, 'version') or 0) or 0

local function is_known(i)
  local place, kind = ARGV[i], ARGV[i + 1]
  local refs = redis.call('HGET', about, 'custody:' .. place) or ''
  for each in string.gmatch(refs, '%S+') do
    if (number_of(each) or 0) >= own then
      return true
    end
  end
  if kind == 'none' then
    return here
  elseif kind == 'new' and here and redis.call('HGET', about, 'digest') == digest
    and redis.call('HEXISTS', about, 'in:' .. place) == 1 then
    return true
  end
  return kind ~= 'dead' and redis.call('SISMEMBER', holds, place) == 1
end
local unknown = {}
for i = first, #ARGV, 7 do
  if not is_known(i) then
    unknown[#unknown + 1] = i
  end
end
if #unknown == 0 then
  drop_offered(uuid, signed)
  return {'ok'}
end
if mark == '?' then
  local told = {'ok'}
  for _, i in ipairs(unknown) do
    told[#told + 1] = ARGV[i]
  end
  return told
end
local is_newer = not here or version < own
if is_newer and document == '' then
  return {'stage'}
end

local function put_its_original()
  local put = signed ~= '' and put_original(uuid, signed)
  if put then
    redis.call('HSET', about, 'original', signed)
  end
  return put
end

if not is_newer then
  -- the row with the document may be of a plain duplicate
  local is_wanted = original_of(uuid) == '' and redis.call('HGET', about, 'digest') == digest
  if not (is_wanted and put_its_original()) then
    drop_offered(uuid, signed)
  end
else
  local gone = put_document(uuid, document, not here)
  if gone then
    return redis.error_reply(gone)
  end
  if is_staged(document) then
    note_large(uuid, document)
  else
    redis.call('HSET', about, 'bytes', ARGV[12])
  end
  local before = redis.call('HGET', about, 'digest')
  local has_original = put_its_original()
  if not has_original and before ~= digest then
    if_usable('string', 'DEL', 'pc:signed:' .. uuid)
  end
  if before and before ~= digest then
    unindex(uuid)
    for _, field in ipairs(redis.call('HKEYS', about)) do
      if string.sub(field, 1, 3) == 'in:' then
        redis.call('HDEL', about, field)
      end
    end
  end
  if_usable('zset', 'ZADD', ARGV[6], ARGV[5], uuid)
  local index = {}
  for _, term in ipairs(decoded(ARGV[11]) or {}) do
    if is('set', term) then
      index[#index + 1] = term
      redis.call('SADD', term, uuid)
      redis.call('PERSIST', term)
    end
  end
  redis.call('HSET', about, 'version', own, 'index', #index > 0 and cjson.encode(index) or '[]')
  if digest ~= '' then
    redis.call('HSET', about, 'digest', digest)
  end
  if ARGV[9] == '1' then
    redis.call('HSET', about, 'owner', ARGV[8])
  end
  if ARGV[10] ~= '' then
    redis.call('HSET', about, 'received', ARGV[10])
  end
  if has_original then
    seal(uuid)
  end
end

local function put_letter(list, reason)
  local reasons, stands = {}, false
  local told = decoded(reason) or {}
  if redis.call('HEXISTS', 'pc:dead:' .. list, uuid) == 1 then
    stands = stands_in(list, uuid)
    for _, each in ipairs(reasons_of(list, uuid)) do
      if each.list_name ~= told.list_name then
        reasons[#reasons + 1] = each
      end
    end
  end
  table.insert(reasons, 1, told)
  set_reasons(list, uuid, reasons, false)
  if stands == false then
    redis.call('RPUSH', list, uuid)
  elseif stands == nil then
    if_usable('set', 'SADD', 'pc:unsure:' .. list, uuid)
  end
end

local got = {'ok'}
for _, i in ipairs(unknown) do
  local place, kind, list, element, attempts, journal, reason = unpack(ARGV, i, i + 6)
  local run = string.match(attempts, '\n(.*)$')
  if run and journal ~= '' then
    if_usable('string', 'SET', 'pc:run:' .. run, journal)
  end
  if kind == 'dead' then
    put_letter(list, reason)
  elseif kind ~= 'none' then
    if attempts ~= '' then
      redis.call('HSET', 'pc:attempts:' .. list, element, attempts .. '\n0')
    end
    if kind == 'egress' then
      add_copy(list, uuid)
    elseif is_newer and place == list then
      redis.call('HSET', about, 'in:' .. list, 1)
    end
    redis.call('RPUSH', list, element)
  end
  if kind ~= 'none' then
    clear_missing(list, uuid)
    redis.call('SADD', holds, place)
    redis.call('PERSIST', key)
  end
  note_custody(uuid, place, ref)
  got[#got + 1] = place
end
return got
