#!lua flags=allow-oom
-- Let a vCon go after so many seconds; while a list or a run needs it they are only remembered.
-- ARGV: uuid, seconds. Returns 1, or 0 when there is none.
-- uses: usable, expire
return expire(ARGV[1], ARGV[2])
