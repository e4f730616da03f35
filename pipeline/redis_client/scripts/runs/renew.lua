#!lua flags=allow-oom
-- Renew a worker's lease, and keep the vCons that it holds from expiring.
-- ARGV: worker, lease (ms). Returns 1, or 0 when the lease had run out.
--
-- pc:worker:{id} is overwritten also if it has another type: the id is a random uuid that no other
-- program uses, and without the lease another worker would take over the runs of a living one.
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
