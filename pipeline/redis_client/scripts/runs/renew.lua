#!lua flags=allow-oom
-- A worker is alive, and what it holds must not expire.
-- ARGV: worker, lease (ms). Returns 1 if it was known to be, else 0.
--
-- pc:worker:{id} is written whatever stood there: an id is a random uuid that no other program uses,
-- and a lease that lapsed over a key of another type would have the worker's runs taken for orphaned.
-- uses: usable, hold_back
local worker = ARGV[1]
if_usable('set', 'SADD', 'pc:workers', worker)
local known = redis.call('EXISTS', 'pc:worker:' .. worker)
redis.call('SET', 'pc:worker:' .. worker, 1, 'PX', ARGV[2])
local inflight = 'pc:inflight:' .. worker
for _, uuid in ipairs(is('hash', inflight) and redis.call('HKEYS', inflight) or {}) do
  hold_back(uuid)
end
return known
