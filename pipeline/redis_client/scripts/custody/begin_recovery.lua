#!lua flags=allow-oom
-- Close this server for claims, and mark it as being recovered.
-- ARGV: server, recovery.
-- Returns {1, had it been approved once (0/1), fencing counter}; {0} when this is another server.
-- uses: usable, approved
local wrong = wrong_type('hash', 'pc:epoch') or wrong_type('string', 'pc:tokens')
if wrong then
  return redis.error_reply(wrong)
end
local server = server_id()
if server ~= ARGV[1] then
  return {0}
end
local had = redis.call('HEXISTS', 'pc:epoch', 'generation')
redis.call('HDEL', 'pc:epoch', 'server')
redis.call('HSET', 'pc:epoch', 'recovering', ARGV[2])
return {1, had, tonumber(redis.call('GET', 'pc:tokens') or 0) or 0}
