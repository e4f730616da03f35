#!lua
-- Queue vCons that are in Redis already.
-- ARGV: list, max depth, whether envelopes are welcome (0/1), trace context or "", uuids...
-- Returns the uuids that are not here; {"full"} or {"envelope", uuid}, and then nothing has changed.
-- uses: is_envelope
local list, max_depth, context, missing = ARGV[1], tonumber(ARGV[2]), ARGV[4], {}
if redis.call('LLEN', list) + #ARGV - 4 > max_depth then
  return {'full'}
end
for i = 5, #ARGV do
  if ARGV[3] == '0' and is_envelope(ARGV[i]) then
    return {'envelope', ARGV[i]}
  end
end
for i = 5, #ARGV do
  local uuid = ARGV[i]
  if redis.call('EXISTS', 'vcon:' .. uuid) == 1 then
    redis.call('PERSIST', 'vcon:' .. uuid)
    redis.call('SADD', 'pc:holds:' .. uuid, list)
    redis.call('RPUSH', list, uuid)
    if context ~= '' then
      redis.call('RPUSH', 'context:' .. list .. ':' .. uuid, context)
      redis.call('EXPIRE', 'context:' .. list .. ':' .. uuid, 86400)
    end
  else
    missing[#missing + 1] = uuid
  end
end
return missing
