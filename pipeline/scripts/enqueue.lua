-- Queue vCons that are in Redis already.
-- ARGV: list, max depth, uuids... Returns the uuids that are not here, or {"full"} and no change.
local list, max_depth, missing = ARGV[1], tonumber(ARGV[2]), {}
if redis.call('LLEN', list) + #ARGV - 2 > max_depth then
  return {'full'}
end
for i = 3, #ARGV do
  local uuid = ARGV[i]
  if redis.call('EXISTS', 'vcon:' .. uuid) == 1 then
    redis.call('PERSIST', 'vcon:' .. uuid)
    redis.call('SADD', 'pc:holds:' .. uuid, list)
    redis.call('RPUSH', list, uuid)
  else
    missing[#missing + 1] = uuid
  end
end
return missing
