#!lua
-- Write a vCon that was read from a storage, unless Redis has it already.
-- ARGV: uuid, document ("": only report whether it is needed), expiry (s, 0: none).
-- Returns 1, or 0 when Redis has it; -1 when it was erased.
-- uses: usable, place, erased
local uuid, document, seconds = ARGV[1], ARGV[2], tonumber(ARGV[3])
local key = 'vcon:' .. uuid
if is_erased(uuid) then
  return -1
end
if redis.call('EXISTS', key) == 1 then
  return 0
end
if document == '' then
  return 1
end
local gone = put_document(uuid, document)
if gone then
  return redis.error_reply(gone)
end
if seconds > 0 then
  redis.call('EXPIRE', key, seconds)
  reap_later(uuid, seconds)
end
return 1
