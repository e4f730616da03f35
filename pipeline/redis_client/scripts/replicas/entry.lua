#!lua flags=allow-oom
-- Write or remove an entry of a hash, such as a pause in pc:paused, unless it has changed meanwhile.
-- ARGV: key, field, the entry as the caller has read it (empty: none), the new one (empty: remove it),
--       most entries.
-- Returns "changed", "full" or "done".
-- uses: usable
local key, field, expected, text = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local wrong = wrong_type('hash', key)
if wrong then
  return redis.error_reply(wrong)
end
local present = redis.call('HGET', key, field)
if (present or '') ~= expected then
  return 'changed'
end
if text == '' then
  redis.call('HDEL', key, field)
  return 'done'
end
if not present and redis.call('HLEN', key) >= tonumber(ARGV[5]) then
  return 'full'
end
redis.call('HSET', key, field, text)
return 'done'
