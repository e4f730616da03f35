-- We have put a uuid into a list, or moved it within: no sweep that has read the list before may
-- take it for taken out. See `pipeline/admin/housekeeping.py`.
local function clear_missing(list, uuid)
  if_usable('hash', 'HDEL', 'pc:missing:' .. list, uuid)
end
