-- A function that says whether the entry of a name in this key, pc:paused or pc:drained, is in force
-- at `now`, in ms by Redis' clock. An entry that cannot be read has no end. A claim asks for each list
-- that has elements, so the key's type is looked at once.
local LONGEST_ENTRY = 10000
local function entries_of(key, now)
  local usable = redis.call('TYPE', key)['ok'] == 'hash'
  return function(name)
    local text = usable and redis.call('HGET', key, name)
    if not text or text == '' then
      return false
    end
    local known = #text < LONGEST_ENTRY and decoded(text)
    local ends = known and tonumber(known['until'])
    return not ends or ends > now
  end
end
