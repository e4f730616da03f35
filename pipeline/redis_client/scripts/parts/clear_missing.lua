-- To be called after a uuid was put into a list or moved within it: a sweep that is reading the list
-- may have missed it and must not release it. See `pipeline/admin/housekeeping.py`.
local function clear_missing(list, uuid)
  if_usable('hash', 'HDEL', 'pc:missing:' .. list, uuid)
end
