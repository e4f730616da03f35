-- One page of a list, and for each entry whether it can be left out of a restored list if its hold
-- has ended by the time at which the vCon is read; changes nothing.
-- ARGV: list, first, last. Returns {flags, entries...}; flags is a text of 0 and 1.
-- The theory is at the head of pipeline/operator/backup/redis_reader.py.
-- uses: usable, element
local list = ARGV[1]
local wrong = wrong_type('list', list)
if wrong then
  return redis.error_reply(wrong)
end
local attempts, leases = 'pc:attempts:' .. list, 'pc:lease:' .. list
local has_attempts, has_leases = is('hash', attempts), is('zset', leases)
local has_locks = is('hash', 'pc:locks')

-- Whether a run of this entry may have begun, or a reader may have it, so that its hold may end for
-- another copy than this one.
local function is_begun(uuid, element)
  return has_locks and redis.call('HEXISTS', 'pc:locks', uuid) == 1
    or has_attempts and redis.call('HEXISTS', attempts, element) == 1
    or has_leases and redis.call('ZSCORE', leases, uuid)
end

local entries, flags = redis.call('LRANGE', list, ARGV[2], ARGV[3]), {}
for i, element in ipairs(entries) do
  local uuid, run, hold = split(list, element)
  local holds = 'pc:holds:' .. uuid
  local held = is('set', holds) and redis.call('SISMEMBER', holds, hold) == 1
  flags[i] = held and (run or not is_begun(uuid, element)) and '1' or '0'
end
return {table.concat(flags), unpack(entries)}
