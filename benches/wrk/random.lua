-- Objects at random: arguments SIZE PREFIX COUNT ask for /o/SIZE/PREFIXn, 0 <= n < COUNT.
dofile(os.getenv("BENCH_WRK") .. "/done.lua")

local requests, count = {}, 0

function init(args)
  count = tonumber(args[3])
  math.randomseed(os.time())
  for n = 1, count do
    requests[n] = wrk.format("GET", "/o/" .. args[1] .. "/" .. args[2] .. (n - 1))
  end
end

function request()
  return requests[math.random(count)]
end
