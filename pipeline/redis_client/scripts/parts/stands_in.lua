-- Whether a uuid is in a list: true, false, or nil (unknown) when it is near neither end of a long
-- list, which is not searched as a whole.
local function stands_in(list, uuid)
  if redis.call('LPOS', list, uuid, 'RANK', -1, 'MAXLEN', 1000) then
    return true
  end
  if redis.call('LLEN', list) <= 1000 then
    return false
  end
  return redis.call('LPOS', list, uuid, 'MAXLEN', 1000) and true or nil
end
