-- The run id of this server, and what tells it from one with other data: the run id and the id of its
-- replication history, which changes when a replica is promoted.
local function this_server()
  local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
  local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
  return run_id, run_id .. ' ' .. (history or '')
end
