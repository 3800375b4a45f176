-- One URL, and a pause of a millisecond after each answer: time that a request waits is then the
-- server's, and not that of other requests in front of it.
dofile(os.getenv("BENCH_WRK") .. "/done.lua")

function delay()
  return 1
end
