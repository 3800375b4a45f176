"""Fan-out: a thousand light nodes of one process (`fleet_load`) before one control plane.

Each round starts a control plane anew. Both cores are shared by the control plane and the nodes;
its CPU time is told apart. A second series has a delay on each node's way, in both directions.
"""

import json
import statistics
import subprocess

import machine

SECONDS_MAX = 300
DELAYS_MS = (0, 80)


def once(options, delay_ms):
    """One run: what `fleet_load` printed."""
    command = [options.fleet_load, options.headland, "--nodes", options.fleet_nodes]
    command += ["--delay-ms", delay_ms]
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"fleet_load: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout)


def measure_all(options, tell):
    """The medians of all rounds by delay, each figure by its name, and faults."""
    machine.raise_file_limit()
    found, faults = {}, []
    for delay_ms in DELAYS_MS:
        runs = []
        for turn in range(options.rounds):
            try:
                runs.append(once(options, delay_ms))
            except (RuntimeError, OSError, subprocess.TimeoutExpired) as reason:
                faults.append(f"fleet, {delay_ms} ms: {reason}")
                continue
            tell(f"  fleet    round {turn} delay {delay_ms} ms: {json.dumps(runs[-1])}")
        if runs:
            found[delay_ms] = {
                name: statistics.median(run[name] for run in runs) for name in runs[0]
            }
    return found, faults
