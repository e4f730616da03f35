-- An element of a run list is `uuid|run`, of any other list a uuid; other programs may put a bare
-- uuid into a run list, too. Returns uuid, run or nil, and the hold on the vCon.
local function split(list, element)
  if string.sub(list, 1, 4) == 'run:' then
    local uuid, run = string.match(element, '^(.-)|(.*)$')
    if uuid then
      return uuid, run, list .. '|' .. run
    end
  end
  return element, nil, list
end
