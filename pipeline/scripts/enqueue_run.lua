#!lua
-- Register one RunChain request before anything of it runs.
-- ARGV: uuid, run id, chain, run JSON, trace context or "". Returns 1, or 0 when there is no such vCon.
local uuid, run, list = ARGV[1], ARGV[2], 'run:' .. ARGV[3]
if redis.call('EXISTS', 'vcon:' .. uuid) == 0 then
  return 0
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
return 1
