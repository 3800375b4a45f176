-- Each object once, then end: arguments SIZE PREFIX COUNT ask for /o/SIZE/PREFIXn in order.
-- wrk sleeps out its duration even when its threads have stopped, so the process ends itself.
local size, prefix, count, asked, answered, bad = nil, nil, 0, 0, 0, 0

function init(args)
  size, prefix, count = args[1], args[2], tonumber(args[3])
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
  -- A little over, so that none of the first COUNT is still on its way.
  if answered == count + 512 then
    io.write(string.format(
      'JSON {"requests":%d,"bytes":0,"us":1,"socket_errors":0,"bad_status":%d,"p99_us":0}\n',
      answered, bad))
    io.flush()
    os.exit(0)
  end
end
