#!lua flags=allow-oom
-- A worker is alive, and what it holds must not expire.
-- ARGV: worker, lease (ms). Returns 1 if it was known to be, else 0.
-- uses: hold_back
local worker = ARGV[1]
redis.call('SADD', 'pc:workers', worker)
local known = redis.call('EXISTS', 'pc:worker:' .. worker)
redis.call('SET', 'pc:worker:' .. worker, 1, 'PX', ARGV[2])
for _, uuid in ipairs(redis.call('HKEYS', 'pc:inflight:' .. worker)) do
  hold_back(uuid)
end
return known
