-- Whether an element was in flight when a worker died and its run has not been settled since.
local function is_suspect(list, element)
  local past = redis.call('HGET', 'pc:attempts:' .. list, element)
  return past and string.sub(past, -2) == '\n1'
end
