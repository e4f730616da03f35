#!lua flags=allow-oom
-- Put dead letters into the index of their list, see parts/causes.lua.
-- ARGV: dead-letter list, then for each: uuid, time of the failure (ms), its reason as the caller has
--       read it, and the same with fingerprints. One whose reason has changed is skipped.
-- Returns how many reasons were changed.
-- uses: usable, clock, causes, reasons
local letters, changed = ARGV[1], 0
local wrong = wrong_type('hash', 'pc:dead:' .. letters)
if wrong then
  return redis.error_reply(wrong)
end
for i = 2, #ARGV, 4 do
  local uuid, at, before = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  if redis.call('HGET', 'pc:dead:' .. letters, uuid) == before then
    local newest, is_new = decoded(ARGV[i + 3]) or {}, ARGV[i + 3] ~= before
    for _, reason in ipairs({newest, unpack(newest.beside or {})}) do
      local given = reason.fingerprint
      file_cause(letters, uuid, reason, at)
      is_new = is_new or reason.fingerprint ~= given -- it became "other"
    end
    if is_new then
      redis.call('HSET', 'pc:dead:' .. letters, uuid, cjson.encode(newest))
      changed = changed + 1
    end
  end
end
return changed
