-- The runs that workers hold: {run, list, vCon, journal or "", present step or ""} for each.
-- ARGV: how many at most.
local most, rows = tonumber(ARGV[1]), {}
for _, worker in ipairs(redis.call('SMEMBERS', 'pc:workers')) do
  local held = redis.call('HGETALL', 'pc:inflight:' .. worker)
  for i = 1, #held, 2 do
    local token, run, list = string.match(held[i + 1], '^(%d+)\n(.-)\n(.-)\n')
    if run and #rows < most then
      local said, step = string.match(redis.call('GET', 'pc:step:' .. run) or '', '^(%d+)\n(.*)$')
      local journal = redis.call('GET', 'pc:run:' .. run) or ''
      rows[#rows + 1] = {run, list, held[i], journal, said == token and step or ''}
    end
  end
end
return rows
