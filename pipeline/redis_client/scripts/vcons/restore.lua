#!lua
-- Bring a vCon back from a storage, unless there is one already.
-- ARGV: uuid, document ("": only say whether it is needed), expiry (s, 0 keeps it).
-- Returns 1, or 0 when there was one.
-- uses: usable, place
local uuid, document, seconds = ARGV[1], ARGV[2], tonumber(ARGV[3])
local key = 'vcon:' .. uuid
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
