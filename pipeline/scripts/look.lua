-- A run as it stands here: {its journal or "", whether a worker holds it (0/1), what the worker says
-- of its present step or ""}. The journal says `queued` until a step is journaled, so the claim counts.
-- ARGV: run id.
local run = ARGV[1]
local journal = redis.call('GET', 'pc:run:' .. run)
if not journal then
  return {'', 0, ''}
end
local known = cjson.decode(journal)
if known.status ~= 'queued' and known.status ~= 'running' then
  return {journal, 0, ''}
end
local worker = redis.call('HGET', 'pc:locks', known.vcon_in)
local held = worker and redis.call('HGET', 'pc:inflight:' .. worker, known.vcon_in)
local token, holds = string.match(held or '', '^(%d+)\n(.-)\n')
if holds ~= run then
  return {journal, 0, ''}
end
local said, step = string.match(redis.call('GET', 'pc:step:' .. run) or '', '^(%d+)\n(.*)$')
return {journal, 1, said == token and step or ''}
