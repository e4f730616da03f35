#!lua flags=allow-oom
-- One vCon as custody keeps it; changes nothing.
-- ARGV: uuid, sorted set.
-- Returns {document, digest, score in the sorted set or "", index keys (JSON) or "", time of receipt or
-- "", owner, is an owner known (0/1)}; {} when Redis has no such vCon.
-- uses: usable
local uuid, sorted_set = ARGV[1], ARGV[2]
local key, about = 'vcon:' .. uuid, 'pc:about:' .. uuid
local wrong = wrong_type(JSON, key) or wrong_type('hash', about)
if wrong then
  return redis.error_reply(wrong)
end
local document = redis.call('JSON.GET', key)
if not document then
  return {}
end
local score = is('zset', sorted_set) and redis.call('ZSCORE', sorted_set, uuid)
local digest, index, received, owner = unpack(redis.call('HMGET', about, 'digest', 'index', 'received', 'owner'))
return {document, digest or '', score or '', index or '', received or '', owner or '', owner and 1 or 0}
