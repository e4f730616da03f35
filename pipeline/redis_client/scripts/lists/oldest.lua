#!lua flags=allow-oom
-- The oldest elements of pc:history, pc:index or pc:released: as many as are in one batch, and about so many bytes.
-- At least one, however long that is.
-- ARGV: list, elements, bytes. Returns the elements.
-- uses: usable
local wrong = wrong_type('list', ARGV[1])
if wrong then
  return redis.error_reply(wrong)
end
local found, bytes, most = {}, 0, tonumber(ARGV[2])
while #found < most and bytes < tonumber(ARGV[3]) do
  local last = math.min(#found + 10, most) - 1
  local some = redis.call('LRANGE', ARGV[1], #found, last)
  if #some == 0 then
    break
  end
  for _, element in ipairs(some) do
    if bytes < tonumber(ARGV[3]) then
      found[#found + 1] = element
      bytes = bytes + #element
    end
  end
end
return found
