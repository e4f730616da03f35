#!lua
-- Remember idempotency keys for the rest of their day.
-- ARGV: recovery, then three for each: key, value, seconds. Returns how many were not known; -1 when
-- Redis does not have the mark of this recovery.
-- uses: usable
if if_usable('hash', 'HGET', 'pc:epoch', 'recovering') ~= ARGV[1] then
  return -1
end
local written = 0
for i = 2, #ARGV, 3 do
  if redis.call('SET', ARGV[i], ARGV[i + 1], 'NX', 'EX', ARGV[i + 2]) then
    written = written + 1
  end
end
return written
