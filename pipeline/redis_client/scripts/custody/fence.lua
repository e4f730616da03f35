#!lua flags=allow-oom
-- Close a server that another one has replaced. ARGV: generation of the other one. Returns 1 or 0.
-- uses: usable
local own = is('hash', 'pc:epoch') and redis.call('HGET', 'pc:epoch', 'generation')
if not own or not tonumber(own) or tonumber(own) >= tonumber(ARGV[1]) then
  return 0
end
return redis.call('HDEL', 'pc:epoch', 'server')
