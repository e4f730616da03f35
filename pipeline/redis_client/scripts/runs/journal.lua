#!lua flags=allow-oom
-- Write the checkpoint of a run, and its vCon as of then, if this worker still holds the run.
-- ARGV: worker, held uuid, token, run JSON, uuid of the document, document or patch ("" leaves it unchanged),
--       expiry (s, 0 leaves it unchanged), a number that increases with each call; if a step with a mark begins
--       or has ended (parts/marked.lua), what a version that ignores marks tells of it, "" at the end.
-- Returns 1; 2 when the run has been cancelled; 0 when this worker no longer holds the run. If the vCon
-- of the document was erased, the document is not written, and the run is cancelled.
--
-- A call that was repeated after a lost reply may be executed after later ones: the number prevents
-- it from writing an older document over a newer one.
-- uses: usable, expire, place, seal, patch, marked, erased
local function written(run)
  return redis.call('TYPE', 'pc:cancel:' .. run)['ok'] == 'string' and 2 or 1
end

local wrong = wrong_type('hash', 'pc:inflight:' .. ARGV[1], 'pc:locks')
  or wrong_type(JSON, 'vcon:' .. ARGV[5])
if wrong then
  return redis.error_reply(wrong)
end
local held = redis.call('HGET', 'pc:inflight:' .. ARGV[1], ARGV[2])
local token, run, list, element = string.match(held or '', '^(%d+)\n(.-)\n(.-)\n(.*)$')
if token ~= ARGV[3] then
  return 0
end
local told = ARGV[9]
wrong = wrong_type('string', 'pc:run:' .. run) or told and wrong_type('hash', 'pc:attempts:' .. list)
if wrong then
  return redis.error_reply(wrong)
end
if ARGV[6] ~= '' then
  local lock = redis.call('HGET', 'pc:locks', ARGV[2]) or ''
  local number, document = string.match(lock, '\n(%d+)\n(.*)$')
  if document == ARGV[5] and (tonumber(number) or 0) > tonumber(ARGV[8]) then
    return written(run)
  end
  if is_erased(ARGV[5]) then
    if_usable('string', 'SET', 'pc:cancel:' .. run, 1, 'EX', 86400)
  else
    local gone = write_document(ARGV[5], ARGV[6])
    if gone then
      return redis.error_reply(gone)
    end
    redis.call('HSET', 'pc:locks', ARGV[2], ARGV[1] .. '\n' .. ARGV[8] .. '\n' .. ARGV[5])
  end
end
redis.call('SET', 'pc:run:' .. run, ARGV[4])
if told then
  note_marks('pc:attempts:' .. list, element, run, ARGV[4])
  if told == '' then
    if_usable('string', 'DEL', 'pc:death:' .. run)
  else
    if_usable('string', 'SET', 'pc:death:' .. run, told, 'EX', 604800)
  end
end
if tonumber(ARGV[7]) > 0 then
  expire(ARGV[5], ARGV[7])
end
return written(run)
