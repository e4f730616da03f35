#!lua flags=allow-oom
-- Whether a worker holds a claim.
-- ARGV: worker, uuid, token. Returns {held (0/1), generation of this server or "" if it is not approved}.
-- uses: usable, approved
local inflight = 'pc:inflight:' .. ARGV[1]
local wrong = wrong_type('hash', inflight)
if wrong then
  return redis.error_reply(wrong)
end
local held = string.match(redis.call('HGET', inflight, ARGV[2]) or '', '^%d+') == ARGV[3]
return {held and 1 or 0, generation_here() or ''}
