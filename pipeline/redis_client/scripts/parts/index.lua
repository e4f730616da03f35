-- Remove a vCon from its search terms. Earlier versions did not limit them: too many for one script are
-- put into a key of their own and removed in slices, see `pipeline/redis_client/staging.py`.
local MOST_TERMS, LONGEST_INDEX = 1000, 500000

local function unindex(uuid)
  local about = 'pc:about:' .. uuid
  local text = is('hash', about) and redis.call('HGET', about, 'index') or ''
  local terms = #text <= LONGEST_INDEX and (decoded(text) or {})
  if not terms or #terms > MOST_TERMS then
    local name = unused_name('pc:trash:terms:')
    redis.call('SET', name, uuid .. '\n' .. text)
    discard(name)
    return
  end
  for _, index in ipairs(terms) do
    if_usable('set', 'SREM', index, uuid)
  end
end
