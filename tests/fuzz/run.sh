#!/usr/bin/env bash
# Runs one fuzz target, or each, for so many seconds: run.sh "$target" "$seconds".
#
# What breaks a promise is written to tests/corpus, where the tests replay it. What only goes new
# ways is kept below the target folder, and the next run begins with it.
set -euo pipefail
cd "$(dirname "$0")/../.."
only=$1 seconds=$2
host=$(rustc -vV | sed -n 's/^host: //p')
build=${CARGO_TARGET_DIR:-target}/fuzz
# The dependencies of the node in the node's versions.
cp Cargo.lock tests/fuzz/Cargo.lock
# What `cargo fuzz --sanitizer none` passes: it takes no nightly toolchain.
coverage=(-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares
    -Ccodegen-units=4)
RUSTFLAGS="--cfg fuzzing ${coverage[*]}" CARGO_TARGET_DIR=$build \
    cargo build --manifest-path tests/fuzz/Cargo.toml --target "$host"

failed=()
for kept in tests/corpus/${only:-*}/; do
    target=$(basename "$kept")
    [ -d "$kept" ] || { echo "expected a target as in tests/corpus, found $target" >&2; exit 2; }
    mkdir -p "$build/corpus/$target"
    echo "== $target"
    HEADLAND_FUZZ=$target "$build/$host/debug/fuzz" -max_total_time="$seconds" -timeout=10 \
        -rss_limit_mb=2048 -max_len=4096 -verbosity=0 -print_final_stats=1 \
        -artifact_prefix="$kept" "$build/corpus/$target" "$kept" || failed+=("$target")
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "promises broken, and kept in tests/corpus: ${failed[*]}" >&2
    exit 1
fi
