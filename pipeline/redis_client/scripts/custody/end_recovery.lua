#!lua flags=allow-oom
-- Remove the mark of a recovery. ARGV: recovery. Returns 1; 0 when this server does not have it.
-- uses: usable
if if_usable('hash', 'HGET', 'pc:epoch', 'recovering') ~= ARGV[1] then
  return 0
end
return redis.call('HDEL', 'pc:epoch', 'recovering')
