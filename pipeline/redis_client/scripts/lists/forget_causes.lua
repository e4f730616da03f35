#!lua flags=allow-oom
-- Take out of the index what is no longer a dead letter with this cause: a version without the index
-- has replayed or deleted it.
-- ARGV: dead-letter list, fingerprint, uuids... Returns how many were taken out.
-- uses: usable, clock, causes, reasons
local letters, fingerprint, removed = ARGV[1], ARGV[2], 0
local members = members_of(letters, fingerprint)
local wrong = wrong_type('hash', 'pc:dead:' .. letters) or wrong_type('zset', members)
if wrong then
  return redis.error_reply(wrong)
end
for i = 3, #ARGV do
  local has_it = false
  for _, reason in ipairs(reasons_of(letters, ARGV[i])) do
    has_it = has_it or reason.fingerprint == fingerprint
  end
  if not has_it and redis.call('ZSCORE', members, ARGV[i]) then
    forget_cause(letters, ARGV[i], fingerprint)
    removed = removed + 1
  end
end
return removed
