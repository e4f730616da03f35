-- Apply a patch of a document, see `pipeline/redis_client/document_paths.py`.
local PATCH = 'patch:'

local function is_patch(document)
  return string.sub(document, 1, #PATCH) == PATCH
end

-- The entries of a patch and the number of members that the document had.
local function patch_entries(patch)
  local members, at = string.match(patch, '^' .. PATCH .. '(%d+)\n()')
  local entries = {}
  while at <= #patch do
    local kind, path, text, length, from = string.match(patch, '^(%a),(%d+),(%d+),(%-?%d+)\n()', at)
    at = from + path + text
    entries[#entries + 1] = {
      kind, string.sub(patch, from, from + path - 1), string.sub(patch, from + path, at - 1), tonumber(length),
    }
  end
  return entries, tonumber(members)
end

-- The path of the array that an entry appends to or changes an element of.
local function array_of(entry)
  return entry[1] == 'A' and entry[2] or string.match(entry[2], '^(.*)%[%d+%]$')
end

local function first_of(...)
  local reply = redis.pcall(...)
  return type(reply) == 'table' and tonumber(reply[1]) or nil
end

-- Returns an error, and changes nothing, if the document is not the one that the patch is for.
local function apply_patch(key, patch)
  local entries, members = patch_entries(patch)
  if redis.call('TYPE', key)['ok'] ~= JSON or first_of('JSON.OBJLEN', key, '$') ~= members then
    return 'CHANGED the document is not the one that was read'
  end
  for _, entry in ipairs(entries) do
    if entry[4] >= 0 and first_of('JSON.ARRLEN', key, array_of(entry)) ~= entry[4] then
      return 'CHANGED an array of the document is not the one that was read'
    end
  end
  for _, entry in ipairs(entries) do
    local kind, path, text = entry[1], entry[2], entry[3]
    local reply
    if kind == 'D' then
      reply = redis.pcall('JSON.DEL', key, path)
    elseif kind == 'S' then
      reply = redis.pcall('JSON.SET', key, path, text)
    else
      local values = {}
      for value in string.gmatch(text, '[^\n]+') do
        values[#values + 1] = value
      end
      reply = redis.pcall('JSON.ARRAPPEND', key, path, unpack(values))
    end
    if not reply or type(reply) == 'table' and reply.err then
      return 'CHANGED a part of the document could not be written'
    end
  end
end

-- Write a document: a text, a staged one, or a patch of the one that is there.
local function write_document(uuid, document)
  if is_patch(document) then
    return renewing_seal(uuid, apply_patch, 'vcon:' .. uuid, document)
  end
  return renewing_seal(uuid, put_document, uuid, document)
end
