#!lua
-- Let workers claim on this server.
-- ARGV: server, recovery, name, generation, fencing counter.
-- Returns 1; 0 when this is another server, or its data are not those of this recovery any more.
-- uses: usable, approved
local wrong = wrong_type('hash', 'pc:epoch') or wrong_type('string', 'pc:tokens')
if wrong then
  return redis.error_reply(wrong)
end
local server = server_id()
if server ~= ARGV[1] or redis.call('HGET', 'pc:epoch', 'recovering') ~= ARGV[2] then
  return 0
end
if (tonumber(redis.call('GET', 'pc:tokens') or 0) or 0) < tonumber(ARGV[5]) then
  redis.call('SET', 'pc:tokens', ARGV[5])
end
redis.call('HSET', 'pc:epoch', 'name', ARGV[3], 'generation', ARGV[4], 'server', server)
return 1
