-- Another program may have written a key of another type under a name that this service uses. Redis
-- keeps what a script did before it failed, so every script looks at its keys before it takes or
-- writes anything. It refuses as a whole what cannot be done without the key; what is only noted
-- there (a hold, a trace context, a place in the index) it passes over.
local function is(kind, key)
  local found = redis.call('TYPE', key)['ok']
  return found == kind or found == 'none'
end

-- The error for the first of these keys that has another type; nil when all are usable.
local function wrong_type(kind, ...)
  for _, key in ipairs({...}) do
    if not is(kind, key) then
      local found = string.gsub(redis.call('TYPE', key)['ok'], 'ReJSON%-RL', 'JSON document')
      local wanted = string.gsub(kind, 'ReJSON%-RL', 'JSON document')
      return 'WRONGTYPE ' .. key .. ' is no ' .. wanted .. ' but a ' .. found
    end
  end
end

local JSON = 'ReJSON-RL'

-- A command on a key that may be passed over; 0 when its type is another.
local function if_usable(kind, command, key, ...)
  return is(kind, key) and redis.call(command, key, ...) or 0
end

-- A JSON object or array; nil for anything else that stands there.
local function decoded(text)
  local ok, value = pcall(cjson.decode, text or '')
  return ok and type(value) == 'table' and value or nil
end
