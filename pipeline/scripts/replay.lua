#!lua flags=allow-oom
-- Take vCons out of dead-letter lists and queue them again, each one or not at all.
-- ARGV: run expiry (s), trace context or "", n, then n times: uuid, uuid to queue, target list,
--       element, run, journal, run that failed (""), n letters, dead-letter lists...
-- The first dead-letter list is the one asked for: a vCon that is no longer in it stays as it is.
-- One that failed in several chains stays in the lists, with what the others' runs lack.
-- Returns the runs that were queued.
-- uses: reasons
local context, replayed, at = ARGV[2], {}, 4

-- Something else goes on with this vCon just now, or what was read about it is no longer so.
local function must_wait(uuid, list, element, failed)
  return redis.call('HEXISTS', 'pc:locks', uuid) == 1
    or redis.call('HEXISTS', 'pc:attempts:' .. list, element) == 1
    or (failed ~= '' and redis.call('EXISTS', 'pc:run:' .. failed) == 0)
end

for _ = 1, tonumber(ARGV[3]) do
  local uuid, queued, list, element, run, journal, failed = unpack(ARGV, at, at + 6)
  local n, first = tonumber(ARGV[at + 7]), at + 8
  if not must_wait(queued, list, element, failed) and redis.call('LREM', ARGV[first], 1, uuid) > 0 then
    for i = first, first + n - 1 do
      if i > first then
        redis.call('LREM', ARGV[i], 1, uuid)
      end
      if #drop_reason(ARGV[i], uuid, list, ARGV[1]) > 0 then
        redis.call('RPUSH', ARGV[i], uuid)
      else
        redis.call('SREM', 'pc:holds:' .. uuid, ARGV[i])
      end
    end
    redis.call('SET', 'pc:run:' .. run, journal)
    redis.call('HSET', 'pc:attempts:' .. list, element, '0\n' .. run .. '\n0')
    local is_run_list = string.sub(list, 1, 4) == 'run:'
    redis.call('SADD', 'pc:holds:' .. queued, is_run_list and (list .. '|' .. run) or list)
    redis.call('PERSIST', 'vcon:' .. queued)
    redis.call('RPUSH', list, element)
    if context ~= '' then
      redis.call('RPUSH', 'context:' .. list .. ':' .. element, context)
      redis.call('EXPIRE', 'context:' .. list .. ':' .. element, 86400)
    end
    replayed[#replayed + 1] = run
  end
  at = first + n
end
return replayed
