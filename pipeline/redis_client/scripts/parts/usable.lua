-- Another program may have written a key of another type under a name that this service uses. Redis
-- keeps what a script did before it failed, so every script looks at its keys before it takes or
-- writes anything. It refuses as a whole what cannot be done without the key; what is only noted
-- there (a hold, a trace context, a place in the index) it passes over.
local function is(kind, key)
  local found = redis.call('TYPE', key)['ok']
  return found == kind or found == 'none'
end

local JSON = 'ReJSON-RL'

-- vcon-server has kept vCons as plain strings since September 2026, and adapters write them so: one that
-- holds an object becomes a JSON document, with the time it has left. Another string stays what it is.
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
  for _, key in ipairs({...}) do
    if kind == JSON and redis.call('TYPE', key)['ok'] == 'string' then
      adopt(key)
    end
    if not is(kind, key) then
      local found = string.gsub(redis.call('TYPE', key)['ok'], 'ReJSON%-RL', 'JSON document')
      local wanted = string.gsub(kind, 'ReJSON%-RL', 'JSON document')
      return 'WRONGTYPE ' .. key .. ' is no ' .. wanted .. ' but a ' .. found
    end
  end
end

-- A command on a key that may be passed over; 0 when its type is another.
local function if_usable(kind, command, key, ...)
  return is(kind, key) and redis.call(command, key, ...) or 0
end

-- A JSON object or array; nil for anything else that stands there.
local function decoded(text)
  local ok, value = pcall(cjson.decode, text or '')
  return ok and type(value) == 'table' and value or nil
end
