#!lua flags=allow-oom
-- Remove a vCon from these search terms, except those of its current document.
-- ARGV: uuid, terms...
-- uses: usable
local uuid, about, kept = ARGV[1], 'pc:about:' .. ARGV[1], {}
for _, index in ipairs(is('hash', about) and decoded(redis.call('HGET', about, 'index')) or {}) do
  kept[index] = true
end
for i = 2, #ARGV do
  if not kept[ARGV[i]] then
    if_usable('set', 'SREM', ARGV[i], uuid)
  end
end
return 1
