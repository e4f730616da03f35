-- The rows of custody for a place of a vCon are in the field `custody:{place}` of pc:about, separated by
-- spaces; a place is a list, `run:{chain}|{run}`, or "" for Redis itself. A row is called
-- `{time}.{number}:{generation}`; `version` is the number of the row that has this document.

-- The fields of all places, with their values.
local function custody_of(uuid)
  local found, all = {}, redis.call('HGETALL', 'pc:about:' .. uuid)
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, 8) == 'custody:' then
      found[#found + 1], found[#found + 2] = all[i], all[i + 1]
    end
  end
  return found
end

local function number_of(ref)
  return tonumber(string.match(ref, '%.(%d+)'))
end

-- Add the field of a place, with one more row, to a list of fields and values.
local function add_custody(fields, uuid, place, ref)
  if ref ~= '' then
    local before = redis.call('HGET', 'pc:about:' .. uuid, 'custody:' .. place)
    fields[#fields + 1] = 'custody:' .. place
    fields[#fields + 1] = before and (before .. ' ' .. ref) or ref
  end
end

local function note_custody(uuid, place, ref)
  local fields = {}
  if ref ~= '' and is('hash', 'pc:about:' .. uuid) then
    add_custody(fields, uuid, place, ref)
    redis.call('HSET', 'pc:about:' .. uuid, unpack(fields))
  end
end

-- Take rows out of the field of a place; those that were added meanwhile stay.
local function drop_custody(uuid, place, refs)
  local about, field = 'pc:about:' .. uuid, 'custody:' .. place
  local named = is('hash', about) and redis.call('HGET', about, field)
  if not named then
    return
  end
  local gone, left = {}, {}
  for ref in string.gmatch(refs, '%S+') do
    gone[ref] = true
  end
  for ref in string.gmatch(named, '%S+') do
    if not gone[ref] then
      left[#left + 1] = ref
    end
  end
  if #left > 0 then
    redis.call('HSET', about, field, table.concat(left, ' '))
  else
    redis.call('HDEL', about, field)
  end
end

-- Note in pc:released that a place has ended without a run of its own, so that its rows are released
-- even if the process is killed now: outcome, rows, vCon and place, a line each. The rows stay in
-- pc:about until Postgres has released them.
local function end_custody(uuid, place, outcome)
  local about = 'pc:about:' .. uuid
  local rows = is('hash', about) and redis.call('HGET', about, 'custody:' .. place)
  if rows and is('list', 'pc:released') then
    local lines = {outcome, rows, uuid, place}
    redis.call('RPUSH', 'pc:released', table.concat(lines, '\n'))
  end
end
