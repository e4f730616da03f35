-- End sessions of the console.
-- ARGV: the digest of one session's secret; without it all sessions end.
-- Returns the number of sessions that were in the register.
-- uses: usable
local register = 'pc:sessions'
local wrong = wrong_type('zset', register)
if wrong then
  return redis.error_reply(wrong)
end
local digests = ARGV[1] and {ARGV[1]} or redis.call('ZRANGE', register, 0, -1)
local ended = 0
for _, digest in ipairs(digests) do
  if_usable('string', 'DEL', 'pc:session:' .. digest)
  ended = ended + redis.call('ZREM', register, digest)
end
return ended
