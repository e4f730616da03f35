#!lua flags=allow-oom
-- Make a JSON document of a vCon that another program has written as a plain string.
-- ARGV: uuid. Returns whether there is one now, or no vCon at all (0/1).
-- uses: usable
return wrong_type(JSON, 'vcon:' .. ARGV[1]) and 0 or 1
