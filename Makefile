# Every command that takes more than cargo.
.PHONY: bench crash fuzz model partition simulate test

# All tests, with the foreign clients that they speak to.
test:
	tests/setup-tools.sh
	cargo test --locked

# Side by side with nginx, HAProxy and Varnish; see benches/run.py for what can be chosen:
#   make bench ROUNDS=3 SECONDS=1 BENCH="--rows h1-1k,h2-1k"
ROUNDS ?= 4
SECONDS ?= 2
bench:
	benches/setup.sh
	cargo build --locked --release
	cargo build --locked --release --example released_h3 --example h3_load \
		--example fleet_load
	python3 -B benches/run.py --rounds $(ROUNDS) --seconds $(SECONDS) $(BENCH)

# Kills a node that stores, evicts and purges, so many times, and judges what it serves afterwards;
# HEADLAND_SEED=n repeats a run.
crash: ROUNDS = 600
crash:
	HEADLAND_KILL_ROUNDS=$(ROUNDS) cargo test --locked --test scenarios crash:: -- --nocapture

# Cuts, holds and kills the parts of a fleet while it is purged; HEADLAND_SEED=n repeats the faults.
partition: ROUNDS = 600
partition:
	HEADLAND_PARTITION_ROUNDS=$(ROUNDS) cargo test --locked --test scenarios partition:: -- --nocapture

# The same on simulated machines, lines and clocks, in one process: a seed is always the same run.
# SEED=n begins there, SEED=n SEEDS=1 repeats one.
simulate: SEEDS = 10000
simulate: SEED = 0
simulate:
	HEADLAND_SEEDS=$(SEEDS) HEADLAND_SEED=$(SEED) cargo test --locked --lib \
		what_is_purged_stays_purged_whatever_befalls_the_fleet -- --nocapture

# Every parser of bytes from outside, guided by coverage; finds are kept in tests/corpus, which the
# tests replay. TARGET=name runs one.
fuzz: SECONDS = 60
fuzz:
	tests/fuzz/run.sh "$(TARGET)" $(SECONDS)

# The models of the purge protocol, within larger bounds than the tests search: some minutes.
model:
	HEADLAND_MODEL_BOUND=large cargo test --locked --test model the_promise_holds -- --nocapture
