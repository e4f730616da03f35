#!lua flags=allow-oom
-- Which Redis this is, and what it says of itself. Each call raises pc:tokens, so that data from before
-- the call have a lower one.
-- Returns {server, name, approved server, generation, recovery that is under way,
-- fencing counter}; the texts are "" where there is nothing. `server` changes with each start and with
-- each promotion.
-- uses: usable, approved
local server = server_id()
local found = is('hash', 'pc:epoch')
  and redis.call('HMGET', 'pc:epoch', 'name', 'server', 'generation', 'recovering') or {}
local counter = is('string', 'pc:tokens') and redis.call('GET', 'pc:tokens')
if counter and tonumber(counter) or found[3] and is('string', 'pc:tokens') and not counter then
  counter = redis.call('INCR', 'pc:tokens')
end
local function told(i)
  return found[i] or ''
end
return {server, told(1), told(2), told(3), told(4), tonumber(counter) or 0}
