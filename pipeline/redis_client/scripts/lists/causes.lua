-- The causes of a dead-letter list, see parts/causes.lua, with the newest dead letter of each.
-- ARGV: dead-letter list. Returns {entries of the list, entries with a reason, then for each cause:
--       fingerprint, JSON, count, uuid, time of its failure (ms), its reason (JSON)}
-- uses: usable, clock, causes
local letters = ARGV[1]
local dead, causes = 'pc:dead:' .. letters, 'pc:causes:' .. letters
local wrong = wrong_type('list', letters) or wrong_type('hash', dead, causes)
if wrong then
  return redis.error_reply(wrong)
end
local found = {redis.call('LLEN', letters), redis.call('HLEN', dead)}
local entries = redis.call('HGETALL', causes)
for i = 1, #entries, 2 do
  local members = members_of(letters, entries[i])
  local newest = if_usable('zset', 'ZREVRANGE', members, 0, 0, 'WITHSCORES')
  if newest ~= 0 and newest[1] then
    local count, reason = redis.call('ZCARD', members), redis.call('HGET', dead, newest[1])
    for _, each in ipairs({entries[i], entries[i + 1], count, newest[1], newest[2], reason or ''}) do
      found[#found + 1] = each
    end
  end
end
return found
