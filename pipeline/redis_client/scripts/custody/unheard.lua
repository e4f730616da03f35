#!lua flags=allow-oom
-- Of which vCons Redis has nothing at all; changes nothing.
-- ARGV: generation, fencing counter that Postgres has seen, vCon, list, vCon, list, ...
-- Returns {"unsure"} unless this server is approved under this generation, is not being recovered and
-- has current data; else {"ok", 0 or 1 for each pair...}. 1: there is neither document, hold, lock nor
-- pc:about of the vCon, and the list could have taken it.
-- uses: usable, approved
local tokens = if_usable('string', 'GET', 'pc:tokens')
if objection_to('0.0:' .. ARGV[1]) or redis.call('HEXISTS', 'pc:epoch', 'recovering') == 1
  or (tonumber(tokens or 0) or 0) < tonumber(ARGV[2]) or not is('hash', 'pc:locks') then
  return {'unsure'}
end
local told = {'ok'}
for i = 3, #ARGV, 2 do
  local uuid, list = ARGV[i], ARGV[i + 1]
  local heard = redis.call('EXISTS', 'vcon:' .. uuid, 'pc:about:' .. uuid, 'pc:holds:' .. uuid) > 0
    or redis.call('HEXISTS', 'pc:locks', uuid) == 1 or not is('list', list)
  told[#told + 1] = heard and 0 or 1
end
return told
