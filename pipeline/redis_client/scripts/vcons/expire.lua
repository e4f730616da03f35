#!lua flags=allow-oom
-- Let a vCon expire after so many seconds; while a list or a run needs it they are only noted.
-- ARGV: uuid, seconds. Returns 1, or 0 when there is no such vCon.
-- uses: usable, expire
return expire(ARGV[1], ARGV[2])
