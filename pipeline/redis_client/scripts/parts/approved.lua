-- Whether this server may run vCons that are in custody. `pc:epoch` names the server that recovery has
-- approved last, and with which generation. A copy of its data has the same key, but another server.

-- The process, and the history of its data: a promoted replica begins a new one.
local function server_id()
  local about = redis.call('INFO', 'server', 'replication')
  return string.match(about, 'run_id:(%x+)') .. ':' .. string.match(about, 'master_replid:(%x+)')
end

local known -- the generation, or false

local function generation_here()
  if known == nil and is('hash', 'pc:epoch') then
    local server, generation = unpack(redis.call('HMGET', 'pc:epoch', 'server', 'generation'))
    known = server == server_id() and generation
  end
  return known or nil
end

-- Why a row of custody must not be carried out here; nil if it may. "" and "?" are no rows.
local function objection_to(ref)
  local own = string.match(ref, ':(%d+)$')
  if not own then
    return nil
  end
  local generation = generation_here()
  if not generation then
    return 'unapproved'
  end
  return generation ~= own and 'generation' or nil
end
