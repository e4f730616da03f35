-- The signed original of a vCon is in `pc:signed:{uuid}`; the field `original` of pc:about names it by the
-- digest under which it was offered (pipeline/redis_client/originals.py).

-- What names the original that is kept: its digest, '-' if that is not known, '' if there is none.
local function original_of(uuid)
  if redis.call('EXISTS', 'pc:signed:' .. uuid) == 0 then
    return ''
  end
  return if_usable('hash', 'HGET', 'pc:about:' .. uuid, 'original') or '-'
end

-- Make what was offered under this digest the original. Returns false if it is no longer there.
local function put_original(uuid, digest)
  local original = 'pc:signed:' .. uuid
  local offered = original .. ':' .. digest
  if not is('string', original) or redis.call('TYPE', offered)['ok'] ~= 'string' then
    return false
  end
  redis.call('RENAME', offered, original)
  redis.call('PERSIST', original)
  return true
end

-- Take back what was offered; "" stands for nothing.
local function drop_offered(uuid, digest)
  if digest ~= '' then
    if_usable('string', 'DEL', 'pc:signed:' .. uuid .. ':' .. digest)
  end
end
