-- The state of a run: {checkpoint or "", whether a worker holds it (0/1), the worker's report of its
-- current step or ""}. The checkpoint says `queued` until the first step is written, so the claim
-- decides whether the run is running.
-- ARGV: run id.
-- uses: usable
local run = ARGV[1]
local wrong = wrong_type('string', 'pc:run:' .. run)
if wrong then
  return redis.error_reply(wrong)
end
local journal = redis.call('GET', 'pc:run:' .. run)
if not journal then
  return {'', 0, ''}
end
local known = decoded(journal)
if not known then
  return {'', 0, ''}
end
if known.status ~= 'queued' and known.status ~= 'running' then
  return {journal, 0, ''}
end
local worker = is('hash', 'pc:locks') and redis.call('HGET', 'pc:locks', known.vcon_in)
local held = worker and is('hash', 'pc:inflight:' .. worker)
  and redis.call('HGET', 'pc:inflight:' .. worker, known.vcon_in)
local token, holds = string.match(held or '', '^(%d+)\n(.-)\n')
if holds ~= run then
  return {journal, 0, ''}
end
local note = is('string', 'pc:step:' .. run) and redis.call('GET', 'pc:step:' .. run)
local said, step = string.match(note or '', '^(%d+)\n(.*)$')
return {journal, 1, said == token and step or ''}
