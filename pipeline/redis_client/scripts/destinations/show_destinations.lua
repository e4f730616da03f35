-- The state of destinations. ARGV: now (ms; "" is Redis' clock), destinations...
-- Returns for each {calls in flight, runs that wait, ms until the first of them is due or -1, failures
-- in a row, ms until which it is open or -1 if it is closed (0: the next call is a try), mean ms
-- of a call, time of the last change or "", last error or "", its time or ""}, or the error of a key of
-- another type.
-- uses: usable, clock, destination
local now, reply = ARGV[1] ~= '' and tonumber(ARGV[1]) or now_ms(), {}
for i = 2, #ARGV do
  local keys, wrong = destination_keys(ARGV[i])
  if wrong then
    reply[#reply + 1] = wrong
  else
    local state, slots, parked = unpack(keys)
    local h = redis.call('HMGET', state, 'failures', 'open', 'mean', 'since', 'error', 'failed_at')
    local first = redis.call('ZRANGE', parked, now - OVERDUE, '+inf', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')
    reply[#reply + 1] = {
      redis.call('ZCOUNT', slots, '(' .. now, '+inf'),
      redis.call('ZCOUNT', parked, now - OVERDUE, '+inf'),
      first[2] and math.max(0, first[2] - now) or -1,
      tonumber(h[1]) or 0,
      h[2] and math.max(0, h[2] - now) or -1,
      math.floor(tonumber(h[3]) or 0),
      h[4] or '', h[5] or '', h[6] or '',
    }
  end
end
return reply
