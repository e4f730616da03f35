#!lua flags=allow-oom
-- Return the elements that a dead worker held to the heads of their lists, each once.
-- ARGV: worker. Returns how many were returned, or -1 when the worker has a lease.
--
-- Which of several vCons killed the process is not known, so no attempt is charged: they become
-- suspects, which a suspect worker runs one at a time. A vCon that was in flight alone is charged an
-- attempt.
--
-- An element that cannot be returned now, because a key has another type, stays in flight for the
-- next rescue. If it was not alone, its token becomes 0, so that it is not charged an attempt when it
-- is the last one left.
-- uses: usable, clock, hold_back, put_back, element, wake_waiting
local worker = ARGV[1]
if redis.call('EXISTS', 'pc:worker:' .. worker) == 1 then
  return -1
end
local inflight = 'pc:inflight:' .. worker
local wrong = wrong_type('hash', inflight, 'pc:locks')
if wrong then
  return redis.error_reply(wrong)
end
local flat, held = redis.call('HGETALL', inflight), {}
for i = 1, #flat, 2 do
  local token, run, list, element = string.match(flat[i + 1], '^(%d+)\n(.-)\n(.-)\n(.*)$')
  if token then
    held[#held + 1] = {tonumber(token), flat[i], run, list, element}
  end
end
-- the last claimed first, since each is pushed to the head of its list
table.sort(held, function(one, other) return one[1] > other[1] end)
local alone = #held == 1 and held[1][1] > 0
local stalled = is('string', 'pc:stalled:' .. worker) and redis.call('GET', 'pc:stalled:' .. worker)

-- Returns whether the element was returned to its list.
local function give_back(uuid, run, list, element)
  local attempts = 'pc:attempts:' .. list
  if not is('hash', attempts) or not put_back(list, element) then
    return false
  end
  local past = redis.call('HGET', attempts, element)
  local count = past and tonumber(string.match(past, '^(%d+)') or 0) or 0
  redis.call('HSET', attempts, element, (count + (alone and 1 or 0)) .. '\n' .. run .. '\n1')
  if stalled and alone and is('string', 'pc:death:' .. run) then
    redis.call('SET', 'pc:death:' .. run, stalled, 'EX', 604800)
  end
  redis.call('HDEL', 'pc:locks', uuid)
  hold_back(uuid)
  wake_waiting(uuid)
  return true
end

local given = 0
for _, each in ipairs(held) do
  local _, uuid, run, list, element = unpack(each)
  if give_back(uuid, run, list, element) then
    redis.call('HDEL', inflight, uuid)
    given = given + 1
  elseif not alone then
    redis.call('HSET', inflight, uuid, '0\n' .. run .. '\n' .. list .. '\n' .. element)
  end
end
if redis.call('EXISTS', inflight) == 0 then
  if_usable('set', 'SREM', 'pc:workers', worker)
end
return given
