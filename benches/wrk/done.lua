-- The result of a run as one line of JSON; every other script here loads this one.
function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'JSON {"requests":%.0f,"bytes":%.0f,"us":%.0f,' ..
    '"socket_errors":%.0f,"bad_status":%.0f,"p99_us":%.0f,"max_us":%.0f}\n',
    summary.requests, summary.bytes, summary.duration,
    e.connect + e.read + e.write + e.timeout, e.status, latency:percentile(99),
    latency.max))
end
