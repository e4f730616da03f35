#!lua flags=allow-oom
-- Hand out uuids from the head of an egress list; what is not acknowledged in time comes back.
-- ARGV: list, limit (0: only take back what is late), lease (s). Returns the uuids.
local list, leases = ARGV[1], 'pc:lease:' .. ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local late = redis.call('ZRANGEBYSCORE', leases, '-inf', now)
for i = #late, 1, -1 do
  redis.call('ZREM', leases, late[i])
  redis.call('LPUSH', list, late[i])
end
local given = redis.call('LPOP', list, ARGV[2]) or {}
for i, uuid in ipairs(given) do
  -- a trifle apart, so that they come back in this order
  redis.call('ZADD', leases, now + ARGV[3] * 1000 - (#given - i) / 1000, uuid)
end
if redis.call('EXISTS', leases) == 1 then
  redis.call('SADD', 'pc:lenders', list)
else
  redis.call('SREM', 'pc:lenders', list)
end
return given
