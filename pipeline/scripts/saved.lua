#!lua flags=allow-oom
-- A storage has this vCon now, though no run put it there.
-- ARGV: uuid, vCon expiry (s).
-- uses: let_go
if redis.call('EXISTS', 'vcon:' .. ARGV[1]) == 1 then
  redis.call('HSET', 'pc:about:' .. ARGV[1], 'saved', 1)
  let_go(ARGV[1], ARGV[2])
end
return 1
