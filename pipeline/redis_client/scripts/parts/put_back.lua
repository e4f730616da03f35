-- Put an element to the head of its list; while that key has another type, among the delayed retries,
-- unless the same element is there already. Returns whether one of the two took it.
local function put_back(list, element)
  if is('list', list) then
    redis.call('LPUSH', list, element)
    return true
  end
  return if_usable('zset', 'ZADD', 'pc:later', 'NX', now_ms(), list .. '\n' .. element) == 1
end
