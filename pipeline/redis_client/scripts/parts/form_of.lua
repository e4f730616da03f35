-- Whether a vCon is signed or encrypted, by the rule of `pipeline/vcon/envelope.py`, and the
-- extensions that it names as critical: JSON for that file, or "" for none. Needs `usable`.
--
-- A document may have hundreds of thousands of members, and `critical` may be as large as the
-- document: neither is read as a whole. In a large document `critical` must be a short list.
local FORM = {'ciphertext', 'payload', 'signatures', 'signature', 'critical', 'must_support'}
local MANY_NAMES, MANY_CRITICAL, LONG_CRITICAL = 100, 1000, 100000
local UNREADABLE = '[["(more than can be looked at)"]]'

-- A table with the member names of a document, or with those of FORM if it has many.
local function members_of(key)
  local count = redis.pcall('JSON.OBJLEN', key)
  if type(count) == 'table' and count.err and not wrong_type(JSON, key) then
    count = redis.call('JSON.OBJLEN', key)
  end
  local has = {}
  if tonumber(count) and tonumber(count) <= MANY_NAMES then
    for _, name in ipairs(redis.call('JSON.OBJKEYS', key)) do
      has[name] = true
    end
  elseif tonumber(count) then
    for _, name in ipairs(FORM) do
      has[name] = redis.call('JSON.TYPE', key, '$.' .. name)[1] ~= nil
    end
  end
  return has
end

local function is_short(key, path)
  local count = redis.call('JSON.ARRLEN', key, path)[1]
  if not tonumber(count) or count > MANY_CRITICAL then
    return false
  end
  local length = 0
  for _, each in ipairs(redis.call('JSON.STRLEN', key, path .. '[*]')) do
    length = length + (tonumber(each) or LONG_CRITICAL + 1) -- no text
  end
  return length <= LONG_CRITICAL
end

local function form_of(uuid)
  local key, about, critical = 'vcon:' .. uuid, 'pc:about:' .. uuid, {}
  local has = members_of(key)
  for _, name in ipairs({'critical', 'must_support'}) do
    if has[name] then
      local large = is('hash', about) and redis.call('HEXISTS', about, 'large') == 1
      if large and not is_short(key, '$.' .. name) then
        critical[#critical + 1] = UNREADABLE
      else
        critical[#critical + 1] = redis.call('JSON.GET', key, '$.' .. name)
      end
    end
  end
  local envelope = has.ciphertext or has.payload and (has.signatures or has.signature)
  return envelope, #critical > 0 and '[' .. table.concat(critical, ',') .. ']' or ''
end
