#!lua flags=allow-oom
-- The reader has these: nobody needs to keep them for this list any more.
-- ARGV: list, vCon expiry (s), uuids... Returns how many were leased until now.
-- uses: let_go, stands_in
local list, expiry, acknowledged = ARGV[1], ARGV[2], 0
for i = 3, #ARGV do
  local uuid = ARGV[i]
  if redis.call('ZREM', 'pc:lease:' .. list, uuid) == 1 then
    acknowledged = acknowledged + 1
    if not stands_in(list, uuid) then -- a second run may have put it there once more
      redis.call('SREM', 'pc:unread:' .. list, uuid)
      redis.call('SREM', 'pc:holds:' .. uuid, list)
    end
    if redis.call('EXISTS', 'vcon:' .. uuid) == 1 then
      redis.call('HSET', 'pc:about:' .. uuid, 'saved', 1)
    end
    let_go(uuid, expiry)
  end
end
return acknowledged
