#!lua flags=allow-oom
-- Convert a vCon that another program has written as a plain string into a JSON document.
-- ARGV: uuid. Returns 1 if the key is a JSON document now, or does not exist; else 0.
-- uses: usable
return wrong_type(JSON, 'vcon:' .. ARGV[1]) and 0 or 1
