#!lua flags=allow-oom
-- Remove locks on vCons that no worker has in flight, and return the elements that waited for them.
-- ARGV: cursor of HSCAN, how many locks to read, vCon expiry (s).
-- Returns {next cursor, "0" at the end; uuids that were unlocked}.
--
-- The scripts write lock and in-flight entry in one step. A lock without an entry is left over:
-- another program has deleted or renamed the in-flight hash, or Redis was restored from a part of its
-- data. The lock stays while a key that is needed for this decision has another type.
-- uses: usable, clock, let_go, hold_back, put_back, element, wake_waiting
local MOST = 10 -- removed in one call, each with up to 500 waiting elements
local wrong = wrong_type('hash', 'pc:locks')
if wrong then
  return redis.error_reply(wrong)
end
local function is_left_over(uuid, lock)
  local inflight = 'pc:inflight:' .. string.match(lock, '^[^\n]*')
  return is('list', 'pc:waiting:' .. uuid) and is('hash', inflight)
    and redis.call('HEXISTS', inflight, uuid) == 0
end

local cursor, flat = unpack(redis.call('HSCAN', 'pc:locks', ARGV[1], 'COUNT', ARGV[2]))
local unlocked = {}
for i = 1, #flat, 2 do
  local uuid = flat[i]
  if is_left_over(uuid, flat[i + 1]) then
    redis.call('HDEL', 'pc:locks', uuid)
    hold_back(uuid)
    wake_waiting(uuid)
    let_go(uuid, ARGV[3])
    unlocked[#unlocked + 1] = uuid
    if #unlocked == MOST then
      return {ARGV[1], unpack(unlocked)} -- the same cursor again
    end
  end
end
return {cursor, unpack(unlocked)}
