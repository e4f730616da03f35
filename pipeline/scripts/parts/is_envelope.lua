-- Whether a vCon is signed or encrypted; `pipeline/envelope.py` has the same rule.
local function is_envelope(uuid)
  local has = {}
  for _, name in ipairs(redis.pcall('JSON.OBJKEYS', 'vcon:' .. uuid) or {}) do
    has[name] = true
  end
  return has.ciphertext or has.payload and (has.signatures or has.signature)
end
