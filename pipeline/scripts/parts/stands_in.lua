-- Whether a uuid is in a list, near either end of it.
local function stands_in(list, uuid)
  return redis.call('LPOS', list, uuid, 'MAXLEN', 10000)
    or redis.call('LPOS', list, uuid, 'RANK', -1, 'MAXLEN', 10000)
end
