-- Write and remove documents under `vcon:{uuid}`. Large ones are only renamed here: they are written
-- before the script and freed after it, in slices, see `pipeline/redis_client/staging.py`.
local STAGED, TRASH_SECONDS, MANY = 'pc:staged:', 7200, 500
local ARRAYS = '$["dialog","parties","analysis","attachments"]'

-- Register a key as trash, with the cuts that free it.
local function discard(key, undo)
  redis.call('EXPIRE', key, TRASH_SECONDS)
  if_usable('zset', 'ZADD', 'pc:trash', redis.call('TIME')[1], key .. '\n' .. (undo or '[]'))
end

local function unused_name(prefix)
  local time = redis.call('TIME')
  local name = prefix .. time[1] .. '-' .. time[2]
  while redis.call('EXISTS', name) == 1 do
    name = name .. '-'
  end
  return name
end

-- The cuts that free a large document; nil for a small one. For documents of earlier versions and
-- other programs, which have no note, the number of array elements decides.
local function undo_of(uuid)
  local about = 'pc:about:' .. uuid
  local large = is('hash', about) and redis.call('HGET', about, 'large')
  if large then
    return string.match(large, '\n(.*)$') or '[]'
  end
  local count, lengths = 0, redis.pcall('JSON.ARRLEN', 'vcon:' .. uuid, ARRAYS)
  for _, length in ipairs(type(lengths) == 'table' and lengths or {}) do
    count = count + (tonumber(length) or 0)
  end
  return count > MANY and '[]' or nil
end

local function is_staged(document)
  return string.sub(document, 1, #STAGED) == STAGED
end

local function note_large(uuid, document)
  local about = 'pc:about:' .. uuid
  if is_staged(document) then
    if_usable('hash', 'HSET', about, 'large', document)
  else
    if_usable('hash', 'HDEL', about, 'large')
  end
end

-- Remove a document. Returns 1 or 0, and whether it was a large one, which is freed later.
local function remove_document(uuid)
  local key, undo = 'vcon:' .. uuid, nil
  if is(JSON, key) and redis.call('EXISTS', key) == 1 then
    undo = undo_of(uuid)
  end
  if not undo then
    return redis.call('DEL', key), false
  end
  local trash = unused_name('pc:trash:')
  redis.call('RENAME', key, trash)
  discard(trash, undo)
  return 1, true
end

-- Write a document, a text or a staged one, and keep the key's time to live. To be called before the
-- script changes anything, since Redis may refuse it. Returns an error when the staged document is
-- gone; if it is in place already, the call was repeated after a lost reply, which is no error.
-- `is_new`: there is no document under that key.
local function put_document(uuid, document, is_new)
  local key, about = 'vcon:' .. uuid, 'pc:about:' .. uuid
  local staged = string.match(document, '^(' .. STAGED .. '[^\n]*)')
  if staged and redis.call('EXISTS', staged) == 0 then
    if is('hash', about) and redis.call('HGET', about, 'large') == document then
      return nil
    end
    return 'TRYAGAIN a large document was removed before it was in its place'
  end
  if not staged and (is_new or redis.call('EXISTS', key) == 0 or not undo_of(uuid)) then
    redis.call('JSON.SET', key, '.', document)
    return nil
  end
  if not staged then
    staged = unused_name(STAGED)
    redis.call('JSON.SET', staged, '.', document)
  end
  local left = redis.call('PTTL', key)
  remove_document(uuid)
  redis.call('RENAME', staged, key)
  redis.call('PERSIST', key)
  if left > 0 then
    redis.call('PEXPIRE', key, left)
  end
  if_usable('zset', 'ZREM', 'pc:trash', document)
  note_large(uuid, document)
end

-- Register a large document that will expire, so that reap.lua forgets its notes then.
local function reap_later(uuid, seconds)
  if if_usable('hash', 'HEXISTS', 'pc:about:' .. uuid, 'large') == 1 then
    if_usable('zset', 'ZADD', 'pc:expiring', redis.call('TIME')[1] + seconds, uuid)
  end
end
