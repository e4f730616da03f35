-- The positions of elements in one slice of a list, counted from the tail (-1 is the last entry), so
-- that entries taken out at the head do not change them.
-- ARGV: list, position of the slice's last entry, number of entries, elements...
-- Returns {number of entries read, then for each hit: index of the element from 0, position}
-- uses: usable
local wrong = wrong_type('list', ARGV[1])
if wrong then
  return redis.error_reply(wrong)
end
local numbers, last = {}, tonumber(ARGV[2])
for i = 4, #ARGV do
  numbers[ARGV[i]] = i - 4
end
local entries = redis.call('LRANGE', ARGV[1], last - ARGV[3] + 1, last)
local found = {#entries}
for i, entry in ipairs(entries) do
  if numbers[entry] then
    found[#found + 1] = numbers[entry]
    found[#found + 1] = last - #entries + i
  end
end
return found
