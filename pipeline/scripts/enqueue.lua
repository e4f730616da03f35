#!lua
-- Queue vCons that are in Redis already.
-- ARGV: list, max depth, what to look for: "e" for envelopes, "c" for critical extensions, trace
--       context or "", uuids...
-- Returns the uuids that are not here; or {"full"}, {"envelope", uuid} or {"critical", uuid,
-- extensions, ...} with all that name any, and then nothing has changed.
-- uses: form_of
local list, max_depth, context, missing = ARGV[1], tonumber(ARGV[2]), ARGV[4], {}
if redis.call('LLEN', list) + #ARGV - 4 > max_depth then
  return {'full'}
end
local wanted = {'critical'}
for i = 5, #ARGV do
  local envelope, critical = form_of(ARGV[i])
  if envelope and string.find(ARGV[3], 'e') then
    return {'envelope', ARGV[i]}
  end
  if critical ~= '' and string.find(ARGV[3], 'c') then
    wanted[#wanted + 1], wanted[#wanted + 2] = ARGV[i], critical
  end
end
if #wanted > 1 then
  return wanted
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
