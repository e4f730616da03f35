#!lua flags=allow-oom
-- Seal the document of a vCon that has a signed original, or look at its seal (parts/seal.lua).
-- ARGV: uuid, "seal" or "look".
-- Returns whether the document is sealed (0/1).
-- uses: usable, place, seal
if ARGV[2] == 'seal' and redis.call('EXISTS', 'pc:signed:' .. ARGV[1]) == 1 then
  seal(ARGV[1])
end
return is_sealed(ARGV[1]) and 1 or 0
