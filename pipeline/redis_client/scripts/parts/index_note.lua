-- Notes on the way to the table vcon_index, in pc:index: what a run or a storage did with a vCon. Each
-- is a JSON note of the caller, the time (ms), the uuid, and the members by which the vCon is found, a
-- line each. `pipeline/stored/notes.py` reads them.
--
-- The members are read from the document as it is now, since links may have changed the parties: a
-- JSON object of paths and values. Where there is no document, or they are too long, they are the
-- search keys of pc:about:{uuid}, a JSON array, or empty.
local LONGEST_MEMBERS = 64000

local function members_for_index(uuid)
  local found = redis.pcall('JSON.GET', 'vcon:' .. uuid, '$.created_at', '$.parties[0:200].tel',
    '$.parties[0:200].mailto', '$.parties[0:200].name')
  if type(found) ~= 'string' or #found > LONGEST_MEMBERS then
    local about = 'pc:about:' .. uuid
    found = is('hash', about) and redis.call('HGET', about, 'index') or ''
  end
  return #found > LONGEST_MEMBERS and '' or found
end

local function note_for_index(uuid, note)
  if note and note ~= '' and is('list', 'pc:index') then
    local line = note .. '\n' .. now_ms() .. '\n' .. uuid .. '\n'
    redis.call('RPUSH', 'pc:index', line .. members_for_index(uuid))
  end
end
