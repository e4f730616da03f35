#!lua
-- Register one RunChain request before anything of it runs.
-- ARGV: uuid, run id, chain, run JSON, trace context or "", where to remember the request for a day
--       or "".
-- Returns run id, chain and uuid, a line each, of an earlier request if one is remembered there; ""
-- when there is no such vCon.
local uuid, run, list = ARGV[1], ARGV[2], 'run:' .. ARGV[3]
local request = run .. '\n' .. ARGV[3] .. '\n' .. uuid
local earlier = ARGV[6] ~= '' and redis.call('GET', ARGV[6])
if earlier then
  return earlier
end
if redis.call('EXISTS', 'vcon:' .. uuid) == 0 then
  return ''
end
if ARGV[6] ~= '' then
  redis.call('SET', ARGV[6], request, 'EX', 86400)
end
redis.call('SET', 'pc:run:' .. run, ARGV[4])
redis.call('SADD', 'pc:holds:' .. uuid, list .. '|' .. run)
redis.call('PERSIST', 'vcon:' .. uuid)
redis.call('RPUSH', list, uuid .. '|' .. run)
if ARGV[5] ~= '' then
  local context = 'context:' .. list .. ':' .. uuid .. '|' .. run
  redis.call('RPUSH', context, ARGV[5])
  redis.call('EXPIRE', context, 86400)
end
return request
