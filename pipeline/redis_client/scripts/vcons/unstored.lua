#!lua flags=allow-oom
-- Note that a vCon was removed, from Redis and from the storages that the note names.
-- ARGV: uuid, the note for the index (JSON).
-- uses: usable, clock
if is('list', 'pc:index') then
  redis.call('RPUSH', 'pc:index', ARGV[2] .. '\n' .. now_ms() .. '\n' .. ARGV[1] .. '\n')
end
return 1
