#!lua
-- Queue vCons that are in Redis already.
-- ARGV: list, max depth, checks ("e": refuse envelopes, "c": report critical extensions), trace
--       context or "", 1 to queue them or 0 to check only, uuids..., each followed by a space and its
--       row of custody, if it has one.
-- Returns the uuids that are not in Redis; or, with nothing changed, {"full"}, {"unapproved"} and
-- {"generation"} (parts/approved.lua), {"gone", uuid} when one was erased, {"envelope", uuid} or
-- {"critical", uuid, extensions, ...} with all vCons that name any.
-- uses: usable, leave_context, form_of, custody, approved, erased
local list, max_depth, context, missing = ARGV[1], tonumber(ARGV[2]), ARGV[4], {}
local refs = {}
for i = 6, #ARGV do
  ARGV[i], refs[i] = string.match(ARGV[i], '^(%S+) ?(.*)$')
  local unfit = objection_to(refs[i])
  if unfit then
    return {unfit}
  end
end
for i = 6, #ARGV do
  if is_erased(ARGV[i]) then
    return {'gone', ARGV[i]}
  end
end
local wrong = wrong_type('list', list)
for i = 6, #ARGV do
  wrong = wrong or wrong_type(JSON, 'vcon:' .. ARGV[i])
end
if wrong then
  return redis.error_reply(wrong)
end
if redis.call('LLEN', list) + #ARGV - 5 > max_depth then
  return {'full'}
end
local wanted = {'critical'}
for i = 6, #ARGV do
  local envelope, critical = form_of(ARGV[i])
  if envelope and string.find(ARGV[3], 'e') then
    return {'envelope', ARGV[i]}
  end
  if critical ~= '' and string.find(ARGV[3], 'c') then
    wanted[#wanted + 1], wanted[#wanted + 2] = ARGV[i], critical
  end
end
if #wanted > 1 then
  return wanted
end
if ARGV[5] == '0' then
  return {}
end
for i = 6, #ARGV do
  local uuid = ARGV[i]
  if redis.call('EXISTS', 'vcon:' .. uuid) == 1 then
    redis.call('PERSIST', 'vcon:' .. uuid)
    if_usable('set', 'SADD', 'pc:holds:' .. uuid, list)
    redis.call('RPUSH', list, uuid)
    leave_context('RPUSH', list, uuid, context)
    note_custody(uuid, list, refs[i])
  else
    missing[#missing + 1] = uuid
  end
end
return missing
