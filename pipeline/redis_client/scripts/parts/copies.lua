-- What we have put into an egress list, counted without looking through the list: the first copy of
-- a uuid is its membership in `pc:unread:{list}`, each further one counts in `pc:again:{list}`.
-- Another program may take copies out unseen; the sweep finds those of which none is left.
local function add_copy(list, uuid)
  if redis.call('SADD', 'pc:unread:' .. list, uuid) == 0 then
    if_usable('hash', 'HINCRBY', 'pc:again:' .. list, uuid, 1)
  end
end

-- One of the further copies is gone. Returns whether there was one.
local function drop_further_copy(list, uuid)
  local again = 'pc:again:' .. list
  local further = tonumber(if_usable('hash', 'HGET', again, uuid) or 0)
  if further > 1 then
    redis.call('HINCRBY', again, uuid, -1)
  elseif further == 1 then
    redis.call('HDEL', again, uuid)
  end
  return further > 0
end
