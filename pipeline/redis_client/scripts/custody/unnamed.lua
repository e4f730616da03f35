#!lua flags=allow-oom
-- Which rows of custody Redis has no use for; changes nothing.
-- ARGV: uuid of the vCon, row, uuid, row, ...
-- Returns the rows that no place of their vCon names.
-- uses: usable, custody
local unnamed = {}
for i = 1, #ARGV, 2 do
  local about, named = 'pc:about:' .. ARGV[i], false
  local fields = is('hash', about) and custody_of(ARGV[i]) or {}
  for j = 2, #fields, 2 do
    named = named or string.find(' ' .. fields[j] .. ' ', ' ' .. ARGV[i + 1] .. ' ', 1, true)
  end
  if not named then
    unnamed[#unnamed + 1] = ARGV[i + 1]
  end
end
return unnamed
