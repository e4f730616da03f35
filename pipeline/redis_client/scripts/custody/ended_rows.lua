#!lua flags=allow-oom
-- Rows of custody of places that do not hold their vCon any more; changes nothing.
-- ARGV: vCon, place, vCon, place, ... Returns vCon, place and rows for each that has any.
-- uses: usable
local ended = {}
for i = 1, #ARGV, 2 do
  local uuid, place = ARGV[i], ARGV[i + 1]
  local rows = if_usable('hash', 'HGET', 'pc:about:' .. uuid, 'custody:' .. place)
  if rows and rows ~= 0 and if_usable('set', 'SISMEMBER', 'pc:holds:' .. uuid, place) == 0 then
    for _, word in ipairs({uuid, place, rows}) do
      ended[#ended + 1] = word
    end
  end
end
return ended
