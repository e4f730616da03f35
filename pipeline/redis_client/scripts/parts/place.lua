-- Documents in and out of their place. Large ones are only renamed here: they are written before the
-- script and freed after it, in slices, see `pipeline/redis_client/staging.py`.
local STAGED, TRASH_SECONDS, MANY = 'pc:staged:', 7200, 500

-- Register a key as trash, with how it is freed.
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

-- How a large document is freed; nil for a small one. Those of earlier versions and of other programs
-- say nothing of it.
local function undo_of(uuid)
  local about = 'pc:about:' .. uuid
  local large = is('hash', about) and redis.call('HGET', about, 'large')
  if large then
    return string.match(large, '\n(.*)$') or '[]'
  end
  local count = 0
  for _, name in ipairs({'dialog', 'parties', 'analysis', 'attachments'}) do
    local lengths = redis.pcall('JSON.ARRLEN', 'vcon:' .. uuid, '$.' .. name)
    count = count + (type(lengths) == 'table' and tonumber(lengths[1]) or 0)
  end
  return count > MANY and '[]' or nil
end

local function note_large(uuid, document)
  local is_staged = string.sub(document, 1, #STAGED) == STAGED
  local about = 'pc:about:' .. uuid
  if is_staged then
    if_usable('hash', 'HSET', about, 'large', document)
  else
    if_usable('hash', 'HDEL', about, 'large')
  end
end

-- Take a document out of its place. Returns how many there were, and whether it was a large one.
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

-- Put a document in its place, which keeps its time to live: a text, or one that is staged. Nothing has
-- changed when Redis refuses it. Returns an error for a staged one that is gone; one that was sent
-- again, as no reply came, is in its place already.
local function put_document(uuid, document)
  local key, about = 'vcon:' .. uuid, 'pc:about:' .. uuid
  local staged = string.match(document, '^(' .. STAGED .. '[^\n]*)')
  if staged and redis.call('EXISTS', staged) == 0 then
    if is('hash', about) and redis.call('HGET', about, 'large') == document then
      return nil
    end
    return 'TRYAGAIN a large document was removed before it was in its place'
  end
  if not staged and not (redis.call('EXISTS', key) == 1 and undo_of(uuid)) then
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

-- What is known of a document that is to expire is forgotten then.
local function reap_later(uuid, seconds)
  if if_usable('hash', 'HEXISTS', 'pc:about:' .. uuid, 'large') == 1 then
    if_usable('zset', 'ZADD', 'pc:expiring', redis.call('TIME')[1] + seconds, uuid)
  end
end
