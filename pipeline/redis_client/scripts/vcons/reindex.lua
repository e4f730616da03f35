#!lua
-- Put a vCon into the sorted set and the search sets, as its document says now.
-- ARGV: uuid, sorted set, score, n, then n times: path, the JSON text that the caller has read there;
--       the terms it found...
-- Returns 1; 0 when the document is gone or has changed since, and nothing is written then.
-- The member that other programs write, `vcon:UUID`, goes: one member for each vCon is enough.
-- uses: usable, place, index
local uuid, sorted_set, score, n = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local key, about = 'vcon:' .. uuid, 'pc:about:' .. uuid
local wrong = wrong_type(JSON, key) or wrong_type('hash', about) or wrong_type('zset', sorted_set)
if wrong then
  return redis.error_reply(wrong)
end
if redis.call('EXISTS', key) == 0 then
  return 0
end
for i = 5, 4 + 2 * n, 2 do
  if redis.call('JSON.GET', key, ARGV[i]) ~= ARGV[i + 1] then
    return 0
  end
end
unindex(uuid)
local index = {}
for i = 5 + 2 * n, #ARGV do
  if is('set', ARGV[i]) then
    index[#index + 1] = ARGV[i]
    redis.call('SADD', ARGV[i], uuid)
    redis.call('PERSIST', ARGV[i]) -- other programs let index keys expire after a day
  end
end
redis.call('HSET', about, 'index', cjson.encode(index))
redis.call('ZADD', sorted_set, score, uuid)
redis.call('ZREM', sorted_set, key)
return 1
