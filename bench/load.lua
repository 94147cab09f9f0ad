-- Sends the requests in the files given as arguments, in turn, and prints what came of it as JSON.

local requests = {}

function init(args)
  for i, path in ipairs(args) do
    local file = assert(io.open(path, "rb"))
    requests[i] = file:read("*a")
    file:close()
  end
end

local last = 0

function request()
  last = last % #requests + 1
  return requests[last]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"errors":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
