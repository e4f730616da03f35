-- The reasons why a vCon is in a dead-letter list. The vCon is there once, with one reason for each
-- list that it came from: two chains may have the same storage, and each run failed by itself. The
-- newest reason is the JSON object; the others are in its field `beside`.
local function reasons_of(letters, uuid)
  local key = 'pc:dead:' .. letters
  local text = is('hash', key) and redis.call('HGET', key, uuid)
  if not text then
    return {}
  end
  local newest = decoded(text) or {}
  local reasons = type(newest.beside) == 'table' and newest.beside or {}
  newest.beside = nil
  table.insert(reasons, 1, newest)
  return reasons
end

-- Write the reasons, newest first, and file their causes; `is_new`: the first failed now.
local function set_reasons(letters, uuid, reasons, is_new)
  local left, at = {}, now_ms()
  for _, reason in ipairs(reasons) do
    left[reason.fingerprint or ''] = true
  end
  for _, reason in ipairs(reasons_of(letters, uuid)) do
    if type(reason.fingerprint) == 'string' and not left[reason.fingerprint] then
      forget_cause(letters, uuid, reason.fingerprint)
    end
  end
  for i, reason in ipairs(reasons) do
    file_cause(letters, uuid, reason, at, is_new and i == 1)
  end
  local newest = table.remove(reasons, 1)
  if not newest then
    redis.call('HDEL', 'pc:dead:' .. letters, uuid)
    return
  end
  newest.beside = #reasons > 0 and reasons or nil
  redis.call('HSET', 'pc:dead:' .. letters, uuid, cjson.encode(newest))
end

local function holds_of(uuid)
  local holds = 'pc:holds:' .. uuid
  return is('set', holds) and redis.call('SMEMBERS', holds) or {}
end

-- Let a failed run expire after `expiry` seconds, unless another dead letter refers to it.
local function let_run_go(uuid, run, expiry)
  for _, hold in ipairs(holds_of(uuid)) do
    for _, reason in ipairs(reasons_of(hold, uuid)) do
      if reason.run_id == run then
        return
      end
    end
  end
  if_usable('string', 'EXPIRE', 'pc:run:' .. run, expiry)
end

-- Remove the reason of the run from `list` (nil: the newest reason). Returns the reasons left.
local function drop_reason(letters, uuid, list, run_expiry)
  local dropped, kept = nil, {}
  for _, reason in ipairs(reasons_of(letters, uuid)) do
    if dropped or (list and (reason.list_name or list) ~= list) then
      kept[#kept + 1] = reason
    else
      dropped = reason
    end
  end
  if dropped then
    set_reasons(letters, uuid, {unpack(kept)})
    if type(dropped.run_id) == 'string' then
      let_run_go(uuid, dropped.run_id, run_expiry)
    end
  end
  return kept
end
