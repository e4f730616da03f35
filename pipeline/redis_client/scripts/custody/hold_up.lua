#!lua flags=allow-oom
-- Write the pauses and drains as they were last.
-- ARGV: recovery, n pauses, name and entry of each, then name and entry of each drain.
-- Returns how many there are; -1 when Redis does not have the mark of this recovery.
-- uses: usable
if if_usable('hash', 'HGET', 'pc:epoch', 'recovering') ~= ARGV[1] then
  return -1
end
local function write(key, first, last)
  if is('hash', key) then
    redis.call('DEL', key)
    for i = first, last, 2 do
      redis.call('HSET', key, ARGV[i], ARGV[i + 1])
    end
  end
end
local paused = 2 + 2 * ARGV[2]
write('pc:paused', 3, paused)
write('pc:drained', paused + 1, #ARGV)
return (#ARGV - 2) / 2
