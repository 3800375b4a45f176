-- Never the same URL twice: argument TAG; sizes go round from 1 to 16 KiB.
dofile(os.getenv("BENCH_WRK") .. "/done.lua")

local head, tail, n = {}, nil, 0

function init(args)
  -- The request is cut at its number, so that making the next one is a short concatenation.
  for step = 0, 15 do
    local size = ((step * 7 % 16) + 1) * 1024
    local text = wrk.format("GET", "/o/" .. size .. "/" .. args[1] .. "-NUMBER")
    local from, to = text:find("NUMBER", 1, true)
    head[step], tail = text:sub(1, from - 1), text:sub(to + 1)
  end
end

function request()
  n = n + 1
  return head[n % 16] .. n .. tail
end
