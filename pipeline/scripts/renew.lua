#!lua flags=allow-oom
-- A worker is alive, and what it holds must not expire.
-- ARGV: worker, lease (ms).
-- uses: hold_back
local worker = ARGV[1]
redis.call('SADD', 'pc:workers', worker)
redis.call('SET', 'pc:worker:' .. worker, 1, 'PX', ARGV[2])
for _, uuid in ipairs(redis.call('HKEYS', 'pc:inflight:' .. worker)) do
  hold_back(uuid)
end
return 1
