-- Whether a vCon is signed or encrypted (`pipeline/envelope.py` has the same rule), and which extensions
-- it names as critical: JSON for `pipeline/extensions.py`, or "" for none. After `usable`.
local function form_of(uuid)
  local key, has, critical = 'vcon:' .. uuid, {}, {}
  local names = redis.pcall('JSON.OBJKEYS', key) or {}
  if names.err and not wrong_type(JSON, key) then
    names = redis.call('JSON.OBJKEYS', key)
  end
  for _, name in ipairs(names) do
    has[name] = true
  end
  for _, name in ipairs({'critical', 'must_support'}) do
    if has[name] then
      critical[#critical + 1] = redis.call('JSON.GET', key, '$.' .. name)
    end
  end
  local envelope = has.ciphertext or has.payload and (has.signatures or has.signature)
  return envelope, #critical > 0 and '[' .. table.concat(critical, ',') .. ']' or ''
end
