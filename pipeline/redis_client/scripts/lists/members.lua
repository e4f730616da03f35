-- Some members of a set, or field names of a hash.
-- ARGV: key, cursor, count. Returns {the next cursor ("0" at the end), members...}
-- uses: usable
local is_hash = redis.call('TYPE', ARGV[1])['ok'] == 'hash'
local wrong = not is_hash and wrong_type('set', ARGV[1])
if wrong then
  return redis.error_reply(wrong)
end
local scan, step = is_hash and 'HSCAN' or 'SSCAN', is_hash and 2 or 1
local cursor, found = unpack(redis.call(scan, ARGV[1], ARGV[2], 'COUNT', ARGV[3]))
local members = {cursor}
for i = 1, #found, step do
  members[#members + 1] = found[i]
end
return members
