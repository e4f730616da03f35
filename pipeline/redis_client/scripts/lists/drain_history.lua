#!lua flags=allow-oom
-- Remove what is stored in Postgres from the head of pc:history, pc:index or pc:released.
-- ARGV: list, count, the first of them. Returns 1, or 0 when another replica has removed them already.
-- uses: usable
if not is('list', ARGV[1]) or redis.call('LINDEX', ARGV[1], 0) ~= ARGV[3] then
  return 0
end
redis.call('LTRIM', ARGV[1], ARGV[2], -1)
return 1
