-- The seal of a vCon that has a signed original: the field `seal` of pc:about, the fingerprint of the
-- document as this service wrote it last. A document that another program has laid over it has another
-- fingerprint, and no later write makes that good. Needs `usable` and `place`.

-- A large document is not read as a whole: only its members and the elements of its lists are counted.
local function fingerprint_of(uuid)
  local key = 'vcon:' .. uuid
  if not undo_of(uuid) then
    return redis.sha1hex(redis.call('JSON.GET', key) or '')
  end
  local counts = {tostring(redis.call('JSON.OBJLEN', key))}
  for _, length in ipairs(redis.call('JSON.ARRLEN', key, ARRAYS)) do
    counts[#counts + 1] = tostring(length)
  end
  return 'large ' .. table.concat(counts, ' ')
end

local function is_sealed(uuid)
  local seal = if_usable('hash', 'HGET', 'pc:about:' .. uuid, 'seal')
  local found = seal and seal ~= 0 and redis.call('TYPE', 'vcon:' .. uuid)['ok']
  return found == JSON and fingerprint_of(uuid) == seal
end

local function seal(uuid)
  if redis.call('TYPE', 'vcon:' .. uuid)['ok'] == JSON then
    if_usable('hash', 'HSET', 'pc:about:' .. uuid, 'seal', fingerprint_of(uuid))
  end
end

-- Write a document, and renew the seal if it was whole before. Returns the error of the write.
local function renewing_seal(uuid, write, ...)
  local whole = is_sealed(uuid)
  local gone = write(...)
  if whole and not gone then
    seal(uuid)
  end
  return gone
end
