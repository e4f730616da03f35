-- The copies of uuids that this service has put into an egress list, counted without reading the
-- list: the first copy is a member of `pc:unread:{list}`, further ones count in `pc:again:{list}`.
-- Copies that another program takes out are not counted down; the sweep finds uuids without a copy.
local function add_copy(list, uuid)
  if redis.call('SADD', 'pc:unread:' .. list, uuid) == 0 then
    if_usable('hash', 'HINCRBY', 'pc:again:' .. list, uuid, 1)
  end
end

-- Count one further copy down. Returns whether there was one.
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
