-- Marks of steps that have begun (pipeline/runs/marks.py): the checkpoint has them in `begun`, and the attempts
-- in pc:attempts are so much higher, for versions that ignore marks. The name cannot be in a text of the JSON,
-- where its quotes have backslashes.
local MARKED = 1000000000

local function is_marked(journal)
  return string.find(journal, '"begun":[', 1, true) ~= nil
end

local function without_mark(count)
  return count % MARKED
end

-- Raise or lower the attempts of an element as its checkpoint has marks or not.
local function note_marks(attempts, element, run, journal)
  local past = redis.call('HGET', attempts, element)
  local count, suspect = string.match(past or '', '^(%d+)\n.*\n(%d)$')
  count = without_mark(tonumber(count) or 0)
  if is_marked(journal) then
    count = count + MARKED
  end
  redis.call('HSET', attempts, element, count .. '\n' .. run .. '\n' .. (suspect or '0'))
end
