#!lua flags=allow-oom
-- Lease uuids of an egress list to a reader; those not acknowledged in time are leased again, first.
-- ARGV: list, limit, lease (s), the most expired leases that return to the list.
-- Returns {how many returned to the list, uuids...}.
--
-- Any number of leases may expire at once, so each call moves a bounded number of them. The oldest
-- expired ones are leased again directly. The newest ones return to the head of the list: those that
-- are still expired afterwards are older than all entries of the list, so the order in which uuids
-- are read stays the same for any number of calls.
-- uses: usable, clock, copies
local list, leases = ARGV[1], 'pc:lease:' .. ARGV[1]
local now = now_ms()
local wrong = wrong_type('list', list) or wrong_type('zset', leases) or wrong_type('set', 'pc:lenders')
if wrong then
  return redis.error_reply(wrong)
end
local given = redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, ARGV[2])
if #given > 0 then
  redis.call('ZREM', leases, unpack(given))
end
local late = redis.call('ZREVRANGEBYSCORE', leases, now, '-inf', 'LIMIT', 0, ARGV[4])
if #late > 0 then -- in one command each, which takes a third less time
  redis.call('ZREM', leases, unpack(late))
  redis.call('LPUSH', list, unpack(late))
  if_usable('hash', 'HDEL', 'pc:missing:' .. list, unpack(late)) -- as clear_missing
end
for _, uuid in ipairs(late) do
  local about = 'pc:about:' .. uuid
  if redis.call('TYPE', about)['ok'] == 'hash' then -- an erasure must know that a reader had it
    redis.call('HSET', about, 'lent:' .. list, now)
  end
end
for _, uuid in ipairs(redis.call('LPOP', list, ARGV[2] - #given) or {}) do
  given[#given + 1] = uuid
end
for i, uuid in ipairs(given) do
  -- a fraction of a ms apart, so that they expire in this order
  if redis.call('ZADD', leases, now + ARGV[3] * 1000 - (#given - i) / 1000, uuid) == 0 then
    drop_further_copy(list, uuid) -- a second copy shares the lease and its acknowledgement
  end
end
if redis.call('EXISTS', leases) == 1 then
  redis.call('SADD', 'pc:lenders', list)
else
  redis.call('SREM', 'pc:lenders', list)
end
return {#late, unpack(given)}
