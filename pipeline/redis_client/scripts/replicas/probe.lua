#!lua flags=allow-oom
-- Succeeds if Redis runs the scripts that end a run. ARGV: a key that holds nothing of value.
redis.call('SET', ARGV[1], 1, 'EX', 60)
return 1
