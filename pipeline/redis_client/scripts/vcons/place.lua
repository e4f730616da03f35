#!lua
-- Write a document outside of a run.
-- ARGV: uuid, document, expiry (s, 0 leaves it unchanged).
-- Returns 1; 0 when the vCon was erased, and nothing changes.
-- uses: usable, expire, place, seal, erased
if is_erased(ARGV[1]) then
  return 0
end
local wrong = wrong_type(JSON, 'vcon:' .. ARGV[1])
if wrong then
  return redis.error_reply(wrong)
end
local gone = renewing_seal(ARGV[1], put_document, ARGV[1], ARGV[2])
if gone then
  return redis.error_reply(gone)
end
if tonumber(ARGV[3]) > 0 then
  expire(ARGV[1], ARGV[3])
  reap_later(ARGV[1], ARGV[3])
end
return 1
