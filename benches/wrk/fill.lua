-- Each object once, then end: arguments SIZE PREFIX COUNT ask for /o/SIZE/PREFIXn in order, and
-- OVER more, so that none of the first COUNT is still on its way: 512, or the fourth argument.
-- wrk sleeps out its duration even when its threads have stopped, so the process ends itself.
local size, prefix, count, over, asked, answered, bad = nil, nil, 0, 0, 0, 0, 0

function init(args)
  size, prefix, count = args[1], args[2], tonumber(args[3])
  over = tonumber(args[4] or 512)
end

function request()
  local n = asked % count
  asked = asked + 1
  return wrk.format("GET", "/o/" .. size .. "/" .. prefix .. n)
end

function response(status)
  answered = answered + 1
  if status ~= 200 then
    bad = bad + 1
  end
  if answered == count + over then
    io.write(string.format(
      'JSON {"requests":%d,"bytes":0,"us":1,"socket_errors":0,"bad_status":%d,"p99_us":0}\n',
      answered, bad))
    io.flush()
    os.exit(0)
  end
end
