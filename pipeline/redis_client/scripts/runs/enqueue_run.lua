#!lua
-- Register and queue one RunChain request.
-- ARGV: uuid, run id, chain, run JSON, trace context or "", the key for the request or "", the key
--       for the digest of its vCon or "" (both kept for a day), the limit of holds of one vCon, the
--       row of custody or "".
-- Returns {run id, chain and uuid, a line each; digest, "" or nil} of the earlier request under that
-- key, else of this one; {} when there is no such vCon; {"gone"} when it was erased; {"full"} when the vCon has as many holds as
-- allowed (other scripts read all of them); {"unapproved"} and {"generation"} as in parts/approved.lua.
-- uses: usable, leave_context, custody, approved, erased
local uuid, run, list = ARGV[1], ARGV[2], 'run:' .. ARGV[3]
local request, remembered, digest_key = run .. '\n' .. ARGV[3] .. '\n' .. uuid, ARGV[6], ARGV[7]
local wrong = wrong_type('list', list) or wrong_type(JSON, 'vcon:' .. uuid)
  or wrong_type('string', 'pc:run:' .. run)
if remembered ~= '' then
  wrong = wrong or wrong_type('string', remembered, digest_key)
end
if wrong then
  return redis.error_reply(wrong)
end
if is_erased(uuid) then
  return {'gone'}
end
local unfit = objection_to(ARGV[9])
if unfit then
  return {unfit}
end
local earlier = remembered ~= '' and redis.call('GET', remembered)
if earlier then
  return {earlier, redis.call('GET', digest_key) or ''}
end
if redis.call('EXISTS', 'vcon:' .. uuid) == 0 then
  return {}
end
if is('set', 'pc:holds:' .. uuid) and redis.call('SCARD', 'pc:holds:' .. uuid) >= tonumber(ARGV[8]) then
  return {'full'}
end
local digest = is('hash', 'pc:about:' .. uuid) and redis.call('HGET', 'pc:about:' .. uuid, 'digest') or ''
if remembered ~= '' then
  redis.call('SET', remembered, request, 'EX', 86400)
  redis.call('SET', digest_key, digest, 'EX', 86400, 'NX') -- ingest has stored that of its document
end
redis.call('SET', 'pc:run:' .. run, ARGV[4])
if_usable('set', 'SADD', 'pc:holds:' .. uuid, list .. '|' .. run)
redis.call('PERSIST', 'vcon:' .. uuid)
redis.call('RPUSH', list, uuid .. '|' .. run)
leave_context('RPUSH', list, uuid .. '|' .. run, ARGV[5])
note_custody(uuid, list .. '|' .. run, ARGV[9])
return {request, digest}
