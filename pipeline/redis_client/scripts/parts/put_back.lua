-- Put an element at the head of its list; while that is no list, among the delayed retries, where
-- the next claims find it, unless the same element is there already. Returns whether it was put back.
local function put_back(list, element)
  if is('list', list) then
    redis.call('LPUSH', list, element)
    return true
  end
  return if_usable('zset', 'ZADD', 'pc:later', 'NX', now_ms(), list .. '\n' .. element) == 1
end
