#!lua flags=allow-oom
-- Which rows of custody Redis has no use for; changes nothing.
-- ARGV: uuid of the vCon, row, uuid, row, ...
-- Returns the rows that no place of their vCon names. Recovery names a row without its generation, or
-- under another one, so they are compared by their numbers.
-- uses: usable, custody
local unnamed = {}
for i = 1, #ARGV, 2 do
  local about, named = 'pc:about:' .. ARGV[i], false
  local fields = is('hash', about) and custody_of(ARGV[i]) or {}
  local own = number_of(ARGV[i + 1])
  for j = 2, #fields, 2 do
    for each in string.gmatch(fields[j], '%S+') do
      named = named or number_of(each) == own
    end
  end
  if not named then
    unnamed[#unnamed + 1] = ARGV[i + 1]
  end
end
return unnamed
