-- Store a trace context for the next reader of a vCon, for a day.
local function leave_context(push, list, element, context)
  local key = 'context:' .. list .. ':' .. element
  if context ~= '' and is('list', key) then
    redis.call(push, key, context)
    redis.call('EXPIRE', key, 86400)
  end
end
