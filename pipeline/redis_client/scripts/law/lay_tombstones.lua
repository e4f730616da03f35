#!lua flags=allow-oom
-- Refuse uuids from now on, as Postgres has it.
-- ARGV: the number of the last tombstone, if this Redis has all up to it then, else "", pairs of
--       uuid and erasure...
-- Returns those of the uuids of which this Redis still has something: they are to be removed.
-- uses: usable
local found, wrong = {}, wrong_type('string', 'pc:tombstones')
for i = 2, #ARGV, 2 do
  wrong = wrong or wrong_type('string', 'pc:tombstone:' .. ARGV[i])
end
if wrong then
  return redis.error_reply(wrong)
end
for i = 2, #ARGV, 2 do
  local uuid = ARGV[i]
  redis.call('SET', 'pc:tombstone:' .. uuid, ARGV[i + 1])
  if redis.call('EXISTS', 'vcon:' .. uuid, 'pc:about:' .. uuid, 'pc:holds:' .. uuid) > 0 then
    found[#found + 1] = uuid
  end
end
if ARGV[1] ~= '' then
  redis.call('SET', 'pc:tombstones', ARGV[1])
end
return found
