#!lua flags=allow-oom
-- Whether Redis takes what ends a run. ARGV: a key of no consequence.
redis.call('SET', ARGV[1], 1, 'EX', 60)
return 1
