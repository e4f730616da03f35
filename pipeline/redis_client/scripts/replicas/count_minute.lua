#!lua flags=allow-oom
-- Add to the counters of the present minute, pc:minutes:{minutes since 1970}, by Redis' clock.
-- ARGV: process, number of the batch, most fields, seconds to keep the minute, then field and amount
--       of each counter.
-- Returns 1, or 0 when this batch of the process has been counted: its reply was lost. A process sends
-- a batch until it has the reply, and only then the next one.
-- A field ends with a JSON array of names. Once the minute has the most fields, a new field counts
-- under the name "other" instead.
-- uses: usable, clock
local minute, mark = math.floor(now_ms() / 60000), 'batch ' .. ARGV[1]
local key, before = 'pc:minutes:' .. minute, 'pc:minutes:' .. (minute - 1)
local wrong = wrong_type('hash', key, before)
if wrong then
  return redis.error_reply(wrong)
end
if redis.call('HGET', key, mark) == ARGV[2] or redis.call('HGET', before, mark) == ARGV[2] then
  return 0
end
redis.call('HSET', key, mark, ARGV[2])
local full = redis.call('HLEN', key) >= tonumber(ARGV[3])
for i = 5, #ARGV, 2 do
  local field = ARGV[i]
  if full and redis.call('HEXISTS', key, field) == 0 then
    field = string.gsub(field, '%[.*$', '["other"]')
  end
  redis.pcall('HINCRBY', key, field, ARGV[i + 1]) -- another program may have written a text there
end
redis.call('EXPIRE', key, ARGV[4])
return 1
