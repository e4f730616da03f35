-- Whether an entry of pc:paused or pc:drained is in force now, by Redis' clock. An entry that cannot
-- be read has no end.
local LONGEST_ENTRY = 10000
local function in_force(key, field)
  local text = is('hash', key) and redis.call('HGET', key, field)
  if not text or text == '' then
    return false
  end
  local known = #text < LONGEST_ENTRY and decoded(text)
  local ends = known and tonumber(known['until'])
  return not ends or ends > now_ms()
end
