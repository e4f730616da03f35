-- Which of these keys exist. ARGV: keys... Returns 1 or 0 for each.
local found = {}
for i, key in ipairs(ARGV) do
  found[i] = redis.call('EXISTS', key)
end
return found
