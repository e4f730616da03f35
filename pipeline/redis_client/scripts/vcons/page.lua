-- One page of the vCons in Redis by creation time, newest first.
-- ARGV: sorted set, highest score, lowest score, number of entries of the highest score to skip, limit,
--       "all" to list vCons that have expired from Redis, too.
-- Returns {score at which the next page begins, number of entries of that score to skip ("" at the
-- end), uuids...}
--
-- The page is read by rank: skipping entries of one score by `LIMIT` would walk over each of them,
-- and an import may give any number of vCons the same `created_at`.
-- A vCon with two members, `UUID` and `vcon:UUID`, is listed at the place of the first; the second goes,
-- so that pages are full and their numbers right.
-- uses: usable
local set, highest, skip, limit = ARGV[1], ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5])
local wrong = wrong_type('zset', set)
if wrong then
  return redis.error_reply(wrong)
end
local above = highest == '+inf' and 0 or redis.call('ZCOUNT', set, '(' .. highest, '+inf')
local first = above + skip
local within = redis.call('ZCOUNT', set, ARGV[3], '+inf') - first
if within <= 0 then
  return {'', ''}
end
local last = first + math.min(limit, within) - 1
local rows = redis.call('ZRANGE', set, first, last, 'REV', 'WITHSCORES')
local function is_second(member, uuid)
  return member ~= uuid and redis.call('ZSCORE', set, uuid) and redis.call('ZREM', set, member) == 1
end

local page, score, ties = {'', ''}, highest, skip
for i = 1, #rows, 2 do
  local uuid = string.match(rows[i], '^vcon:(.*)$') or rows[i] -- other programs add the prefix
  if rows[i + 1] ~= score then
    score, ties = rows[i + 1], 0
  end
  if not is_second(rows[i], uuid) then
    ties = ties + 1
    if ARGV[6] == 'all' or redis.call('EXISTS', 'vcon:' .. uuid) == 1 then
      page[#page + 1] = uuid
    end
  end
end
if #rows == 2 * limit then
  page[1], page[2] = score, tostring(ties)
end
return page
