-- The runs that workers hold: {run, list, vCon, checkpoint or "", current step or ""} for each.
-- ARGV: the maximum number of rows.
-- uses: usable
local wrong = wrong_type('set', 'pc:workers')
if wrong then
  return redis.error_reply(wrong)
end

local function text_of(key)
  return is('string', key) and redis.call('GET', key) or ''
end

local most, rows = tonumber(ARGV[1]), {}
for _, worker in ipairs(redis.call('SMEMBERS', 'pc:workers')) do
  local inflight = 'pc:inflight:' .. worker
  local held = is('hash', inflight) and redis.call('HGETALL', inflight) or {}
  for i = 1, #held, 2 do
    local token, run, list = string.match(held[i + 1], '^(%d+)\n(.-)\n(.-)\n')
    if run and #rows < most then
      local said, step = string.match(text_of('pc:step:' .. run), '^(%d+)\n(.*)$')
      local journal = text_of('pc:run:' .. run)
      rows[#rows + 1] = {run, list, held[i], journal, said == token and step or ''}
    end
  end
end
return rows
