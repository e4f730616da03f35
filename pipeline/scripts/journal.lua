#!lua flags=allow-oom
-- Write down how far a run has come, and the vCon as it is then, if this worker still holds the run.
-- ARGV: worker, held uuid, token, run JSON, uuid of the document, document ("" leaves it as it is),
--       expiry (s, 0 leaves it as it is). Returns 1, or 0 when the run is no longer held.
-- uses: expire
local held = redis.call('HGET', 'pc:inflight:' .. ARGV[1], ARGV[2])
local token, run = string.match(held or '', '^(%d+)\n(.-)\n')
if token ~= ARGV[3] then
  return 0
end
if ARGV[6] ~= '' then
  redis.call('JSON.SET', 'vcon:' .. ARGV[5], '.', ARGV[6])
end
redis.call('SET', 'pc:run:' .. run, ARGV[4])
if tonumber(ARGV[7]) > 0 then
  expire(ARGV[5], ARGV[7])
end
return 1
