#!lua flags=allow-oom
-- What of a vCon its law is read from.
-- ARGV: uuid.
-- Returns {} when Redis has no such vCon; {"closed"} for one that is signed or encrypted; else {"plain",
-- attachments (JSON), parties (JSON), number of dialogs}: JSON arrays with the member or with nothing.
-- uses: usable, form_of
local key = 'vcon:' .. ARGV[1]
local wrong = wrong_type(JSON, key)
if wrong then
  return redis.error_reply(wrong)
end
if redis.call('EXISTS', key) == 0 then
  return {}
end
if form_of(ARGV[1]) then
  return {'closed'}
end
local attachments = redis.call('JSON.GET', key, '$.attachments')
local dialogs = redis.pcall('JSON.ARRLEN', key, '$.dialog')
local count = type(dialogs) == 'table' and tonumber(dialogs[1]) or 0
return {'plain', attachments, redis.call('JSON.GET', key, '$.parties'), count}
