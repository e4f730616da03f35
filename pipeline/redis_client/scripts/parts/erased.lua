-- Whether a vCon of this uuid was erased: nothing is stored, indexed or queued under it again. The
-- keys are written once Postgres has the tombstone (pipeline/erasure/tombstones.py).
local function is_erased(uuid)
  local key = 'pc:tombstone:' .. string.lower(uuid)
  return redis.call('EXISTS', key) == 1 and redis.call('TYPE', key)['ok'] == 'string'
end
