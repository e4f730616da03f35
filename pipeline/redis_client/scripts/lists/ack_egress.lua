#!lua flags=allow-oom
-- Acknowledge leased uuids of an egress list: their hold ends, unless the list has further copies.
-- ARGV: list, vCon expiry (s), uuids... Returns how many of them were leased.
-- uses: usable, let_go, copies, custody
local list, expiry, acknowledged = ARGV[1], ARGV[2], 0
local wrong = wrong_type('zset', 'pc:lease:' .. list) or wrong_type('list', list)
  or wrong_type('set', 'pc:unread:' .. list)
if wrong then
  return redis.error_reply(wrong)
end
for i = 3, #ARGV do
  local uuid = ARGV[i]
  if redis.call('ZREM', 'pc:lease:' .. list, uuid) == 1 then
    acknowledged = acknowledged + 1
    if not drop_further_copy(list, uuid) then
      redis.call('SREM', 'pc:unread:' .. list, uuid)
      if_usable('set', 'SREM', 'pc:holds:' .. uuid, list)
      end_custody(uuid, list, 'read')
    end
    note_saved(uuid)
    let_go(uuid, expiry)
  end
end
return acknowledged
