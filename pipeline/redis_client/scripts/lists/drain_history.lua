#!lua flags=allow-oom
-- Remove runs that are stored in Postgres from the head of pc:history.
-- ARGV: count, the first of them. Returns 1, or 0 when another replica has removed them already.
-- uses: usable
if not is('list', 'pc:history') or redis.call('LINDEX', 'pc:history', 0) ~= ARGV[2] then
  return 0
end
redis.call('LTRIM', 'pc:history', ARGV[1], -1)
return 1
