#!lua flags=allow-oom
-- Note rows of custody that were released or added after the scripts that ended or began their places.
-- ARGV: n that were released, vCon + place + rows..., vCon + place + row of those that were added...
-- Returns vCon, place and row of those added ones whose place does not hold the vCon any more.
-- uses: usable, custody
local over, begin = {}, 2 + 3 * ARGV[1]
for i = 2, begin - 1, 3 do
  drop_custody(ARGV[i], ARGV[i + 1], ARGV[i + 2])
end
for i = begin, #ARGV, 3 do
  if if_usable('set', 'SISMEMBER', 'pc:holds:' .. ARGV[i], ARGV[i + 1]) == 1 then
    note_custody(ARGV[i], ARGV[i + 1], ARGV[i + 2])
  else
    for j = i, i + 2 do
      over[#over + 1] = ARGV[j]
    end
  end
end
return over
