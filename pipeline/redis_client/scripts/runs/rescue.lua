#!lua flags=allow-oom
-- Give back what a dead worker held: each id to the head of its list, once.
-- ARGV: worker. Returns how many went back, -1 when that worker is alive after all.
--
-- Which of several vCons killed the process cannot be known, so none of them is blamed: they are
-- marked as suspects, which claim.lua has run in a process of their own. Only a vCon that was alone
-- when its process died has used up an attempt.
--
-- What cannot go back now, since a key has another type, stays in flight for the next rescue. Its
-- token becomes 0 unless it was alone: it shall not be blamed for being the last one left.
-- uses: usable, clock, hold_back, put_back, wake_waiting
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
-- the last one claimed first: each goes to the head of its list
table.sort(held, function(one, other) return one[1] > other[1] end)
local alone = #held == 1 and held[1][1] > 0
local stalled = is('string', 'pc:stalled:' .. worker) and redis.call('GET', 'pc:stalled:' .. worker)

-- Returns whether it went back.
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
