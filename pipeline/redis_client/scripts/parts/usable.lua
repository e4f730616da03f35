-- Another program may have written a key of another type under a name that this service uses. Redis
-- does not undo what a script did before it failed, so every script checks its keys before it changes
-- anything. It refuses the call as a whole if a key is needed for it; it skips keys that only hold
-- notes (holds, trace contexts, the index).
local function is(kind, key)
  local found = redis.call('TYPE', key)['ok']
  return found == kind or found == 'none'
end

local JSON = 'ReJSON-RL'

-- vcon-server writes vCons as plain strings since September 2026, and so do adapters: a string with an
-- object becomes a JSON document and keeps its time to live. Any other string is left unchanged.
local function adopt(key)
  local text, left = redis.call('GET', key), redis.call('PTTL', key)
  if string.sub(text, 1, 1) ~= '{' then
    return
  end
  redis.call('DEL', key)
  if redis.pcall('JSON.SET', key, '.', text).err then
    redis.call('SET', key, text)
  end
  if left > 0 then
    redis.call('PEXPIRE', key, left)
  end
end

-- The error for the first of these keys that has another type; nil when all are usable.
local function wrong_type(kind, ...)
  for i = 1, select('#', ...) do
    local key = select(i, ...)
    local found = redis.call('TYPE', key)['ok']
    if found == 'string' and kind == JSON then
      adopt(key)
      found = redis.call('TYPE', key)['ok']
    end
    if found ~= kind and found ~= 'none' then
      found = string.gsub(found, 'ReJSON%-RL', 'JSON document')
      local wanted = string.gsub(kind, 'ReJSON%-RL', 'JSON document')
      return 'WRONGTYPE ' .. key .. ' is no ' .. wanted .. ' but a ' .. found
    end
  end
end

-- Run a command on a key that may be skipped; 0 when it has another type. Most commands refuse such
-- a key by themselves, which takes half the time of asking first.
local ANY_TYPE = {SET = true, DEL = true, EXPIRE = true}

local function if_usable(kind, command, key, ...)
  if kind == JSON or ANY_TYPE[command] then
    return is(kind, key) and redis.call(command, key, ...) or 0
  end
  local reply = redis.pcall(command, key, ...)
  if type(reply) ~= 'table' or not reply.err then
    return reply or 0
  end
  return string.sub(reply.err, 1, 9) == 'WRONGTYPE' and 0 or error(reply)
end

-- The text as a JSON object or array; nil if it is neither.
local function decoded(text)
  local ok, value = pcall(cjson.decode, text or '')
  return ok and type(value) == 'table' and value or nil
end
