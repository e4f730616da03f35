#!lua
-- Keep the original of a vCon that a worker has opened, which was offered before.
-- ARGV: uuid, digest of the original, what names the one that it may replace (parts/original.lua), or "*"
--       for each.
-- Returns whether it is kept (0/1); another one stays otherwise.
-- uses: usable, original
local uuid, digest, over = ARGV[1], ARGV[2], ARGV[3]
local original, about = 'pc:signed:' .. uuid, 'pc:about:' .. uuid
local wrong = wrong_type('string', original)
if wrong then
  return redis.error_reply(wrong)
end
if over ~= '*' and original_of(uuid) ~= over then
  drop_offered(uuid, digest)
  return 0
end
if not put_original(uuid, digest) then
  return 0
end
if redis.call('EXISTS', about) == 1 then
  if_usable('hash', 'HSET', about, 'original', digest)
end
return 1
