#!lua flags=allow-oom
-- Cancel a run. A queued run ends here; a running one is marked, and its worker ends it before the
-- next link.
-- ARGV: run id, now (ISO 8601), run expiry (s), vCon expiry (s), the run's position in its list, in
--       the suspects of that list, and in the elements that wait for the vCon, see
--       parts/take_at.lua; "" is unknown, "-" not there.
-- Returns the status before: "queued", "running", that of a run that has ended, or "" for an unknown
-- run. Without positions, for a run that is not near an end of its list: {list, element, uuid}; the
-- caller then searches the positions and calls again.
-- uses: usable, let_go, clear_missing, take_at, custody
local run, key = ARGV[1], 'pc:run:' .. ARGV[1]
local wrong = wrong_type('string', key, 'pc:cancel:' .. run)
if wrong then
  return redis.error_reply(wrong)
end
local journal = redis.call('GET', key)
local known = decoded(journal)
if not known then
  return ''
end
if known.status ~= 'queued' and known.status ~= 'running' then
  return known.status
end
local uuid, list, element = known.vcon_in, known.ingress_list, known.vcon_in
if type(list) ~= 'string' then
  list, element = 'run:' .. known.chain, uuid .. '|' .. run
end
local attempts, place = 'pc:attempts:' .. list, list .. '\n' .. element
local waiting = 'pc:waiting:' .. uuid
wrong = wrong_type('list', list, waiting, 'pc:suspects:' .. list) or wrong_type('hash', attempts)
  or wrong_type('zset', 'pc:later')
if wrong then
  return redis.error_reply(wrong)
end

local function take_out()
  local past = redis.call('HGET', attempts, element)
  if list == known.ingress_list and not (past and string.find(past, run, 1, true)) then
    return false -- the element in the list belongs to another run
  end
  local removed = redis.call('ZREM', 'pc:later', place)
  for i, where in ipairs({{list, element}, {'pc:suspects:' .. list, element}, {waiting, place}}) do
    local at = removed == 0 and find_at(where[1], where[2], ARGV[4 + i])
    if at then
      take_at(where[1], where[2], at)
      removed = 1
    end
  end
  if removed > 0 then
    redis.call('HDEL', attempts, element)
    local hold = list == known.ingress_list and list or (list .. '|' .. run)
    if_usable('set', 'SREM', 'pc:holds:' .. uuid, hold)
    end_custody(uuid, hold, 'cancelled')
  end
  return removed > 0 or nil
end

local taken = take_out()
if taken == nil and ARGV[5] == '' then
  return {list, element, uuid}
end
if taken then
  journal = string.gsub(journal, '"status":"%a+"', '"status":"cancelled"', 1)
  journal = string.gsub(journal, '"finished_at":null', '"finished_at":"' .. ARGV[2] .. '"', 1)
  redis.call('SET', key, journal, 'EX', ARGV[3])
  if_usable('list', 'RPUSH', 'pc:history', journal)
  redis.call('PUBLISH', 'pc:finished', run)
  let_go(uuid, ARGV[4])
  return 'queued'
end
redis.call('SET', 'pc:cancel:' .. run, 1, 'EX', 86400)
redis.call('PUBLISH', 'pc:cancel', run)
return 'running'
