-- The index of a dead-letter list by cause, kept by the scripts that write reasons:
--   pc:causes:{list}              HASH  fingerprint -> JSON: what its failures have in common
--   pc:cause:{fingerprint}:{list} ZSET  uuid -> time of the failure (ms)
-- A reason of a version without fingerprints is not in it until `pipeline/admin/causes.py` adds it.
-- The index only holds notes: where one of its keys has another type, the reason is written
-- without it. A list has at most MOST_CAUSES; failures beyond these have the cause "other".
local MOST_CAUSES, OTHER = 100, 'other'
local SHARED = {'cause', 'step', 'kind', 'type', 'message', 'config_hash', 'chain'}

local function members_of(letters, fingerprint)
  return 'pc:cause:' .. fingerprint .. ':' .. letters
end

-- The fingerprint under which a reason is filed, which is written into it; nil without one.
local function filed_as(letters, reason)
  local found, causes = reason.fingerprint, 'pc:causes:' .. letters
  if type(found) ~= 'string' or #found > 32 or not string.match(found, '^%w+$')
    or not is('hash', causes) then
    return nil
  end
  if redis.call('HEXISTS', causes, found) == 0 and redis.call('HLEN', causes) >= MOST_CAUSES then
    found = OTHER
    reason.fingerprint = found
  end
  return found
end

-- `is_new`: the failure was now; else the time of an earlier entry stays.
local function file_cause(letters, uuid, reason, at, is_new)
  local found = filed_as(letters, reason)
  if not found or not is('zset', members_of(letters, found)) then
    return
  end
  local entry = {first = at}
  for _, name in ipairs(found == OTHER and {} or SHARED) do
    if type(reason[name]) == 'string' then
      entry[name] = reason[name]
    end
  end
  redis.call('HSETNX', 'pc:causes:' .. letters, found, cjson.encode(entry))
  redis.call('ZADD', members_of(letters, found), is_new and 'CH' or 'NX', at, uuid)
  if_usable('set', 'SADD', 'pc:causes', letters)
end

local function forget_cause(letters, uuid, fingerprint)
  local members = members_of(letters, fingerprint)
  if if_usable('zset', 'ZREM', members, uuid) == 1 and redis.call('EXISTS', members) == 0 then
    if_usable('hash', 'HDEL', 'pc:causes:' .. letters, fingerprint)
    if redis.call('EXISTS', 'pc:causes:' .. letters) == 0 then
      if_usable('set', 'SREM', 'pc:causes', letters)
    end
  end
end
