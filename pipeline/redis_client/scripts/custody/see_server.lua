#!lua flags=allow-oom
-- Which Redis this is, and what it says of itself. Each call raises pc:tokens, so that data from before
-- the call have a lower one.
-- Returns {server, name, approved server, generation, recovery that is under way, fencing counter,
-- pauses, drains}; the texts are "" where there is nothing, the last two fields and values. `server`
-- changes with each start and with each promotion.
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
local function entries(key)
  return is('hash', key) and redis.call('HGETALL', key) or {}
end
return {server, told(1), told(2), told(3), told(4), tonumber(counter) or 0,
  entries('pc:paused'), entries('pc:drained')}
