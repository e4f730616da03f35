#!lua flags=allow-oom
-- Give back what a dead worker held: each id to the head of its list, once.
-- ARGV: worker. Returns how many went back, -1 when that worker is alive after all.
--
-- Which of several vCons killed the process cannot be known, so none of them is blamed: they are
-- marked as suspects, which claim.lua has run in a process of their own. Only a vCon that was alone
-- when its process died has used up an attempt.
-- uses: hold_back, wake_waiting
local worker = ARGV[1]
if redis.call('EXISTS', 'pc:worker:' .. worker) == 1 then
  return -1
end
local inflight = 'pc:inflight:' .. worker
local flat, held = redis.call('HGETALL', inflight), {}
for i = 1, #flat, 2 do
  local token, run, list, element = string.match(flat[i + 1], '^(%d+)\n(.-)\n(.-)\n(.*)$')
  held[#held + 1] = {tonumber(token), flat[i], run, list, element}
end
-- the last one claimed first: each goes to the head of its list
table.sort(held, function(one, other) return one[1] > other[1] end)
local blamed = #held == 1 and 1 or 0
for _, each in ipairs(held) do
  local _, uuid, run, list, element = unpack(each)
  local attempts = 'pc:attempts:' .. list
  local past = redis.call('HGET', attempts, element)
  local count = past and tonumber(string.match(past, '^(%d+)')) or 0
  redis.call('HSET', attempts, element, (count + blamed) .. '\n' .. run .. '\n1')
  redis.call('HDEL', 'pc:locks', uuid)
  hold_back(uuid)
  redis.call('LPUSH', list, element)
  wake_waiting(uuid)
end
redis.call('DEL', inflight)
redis.call('SREM', 'pc:workers', worker)
return #held
