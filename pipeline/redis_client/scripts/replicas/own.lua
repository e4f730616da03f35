#!lua flags=allow-oom
-- Take or extend the ownership of a task for so many ms, unless another name owns it.
-- ARGV: key, name, ms. Returns 1 if this name is the owner, else 0.
-- uses: usable
local wrong = wrong_type('string', ARGV[1])
if wrong then
  return redis.error_reply(wrong)
end
local owner = redis.call('GET', ARGV[1])
if owner and owner ~= ARGV[2] then
  return 0
end
redis.call('SET', ARGV[1], ARGV[2], 'PX', ARGV[3])
return 1
