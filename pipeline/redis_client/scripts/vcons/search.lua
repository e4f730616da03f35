-- Some of the vCons in Redis that match all terms.
-- ARGV: cursor of SSCAN, number of members to read, the term with the fewest members, other terms...
-- Returns {the next cursor ("0" at the end), uuids...}
-- uses: usable
local wrong = wrong_type('set', unpack(ARGV, 3))
if wrong then
  return redis.error_reply(wrong)
end
local cursor, members = unpack(redis.call('SSCAN', ARGV[3], ARGV[1], 'COUNT', ARGV[2]))

local function is_hit(uuid)
  for i = 4, #ARGV do
    if redis.call('SISMEMBER', ARGV[i], uuid) == 0 then
      return false
    end
  end
  return redis.call('EXISTS', 'vcon:' .. uuid) == 1
end

local found = {cursor}
for _, uuid in ipairs(members) do
  if is_hit(uuid) then
    found[#found + 1] = uuid
  end
end
return found
