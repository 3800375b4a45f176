"""The machine under the benchmark: cores, processes we start, their CPU time and their memory.

Every process is started in a session of its own and pinned to one core; it is ended by its own
pid, and only processes started here are ever signalled. CPU time is the kernel's process clock
(nanoseconds, threads that have ended included); run delay is the time that runnable threads
waited for the core, which tells a stalled server from one that shares its core with others.
"""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Cores:
    """The core of the servers, and the core of the load generator and the origin."""

    server: int
    load: int


def pick_cores(server=None, load=None):
    """Two cores this process may use: the last for the servers, the first for the load."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise SystemExit("bench: two cores are needed, one for the server and one for the load")
    return Cores(usable[-1] if server is None else server, usable[0] if load is None else load)


def raise_file_limit():
    """As many descriptors as the hard limit allows, for us and what we start; how many."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def free_ports(count):
    """Loopback ports that are free for TCP and UDP at this moment."""
    held = []
    ports = []
    while len(ports) < count:
        tcp = socket.socket()
        held.append(tcp)
        tcp.bind(("127.0.0.1", 0))
        port = tcp.getsockname()[1]
        udp = socket.socket(type=socket.SOCK_DGRAM)
        held.append(udp)
        with contextlib.suppress(OSError):
            udp.bind(("127.0.0.1", port))
            ports.append(port)
    for held_socket in held:
        held_socket.close()
    return ports


class Process:
    """One child process, pinned to a core, its output in a file."""

    def __init__(self, command, core, output, cwd=None):
        self.command = [str(part) for part in command]
        self.output = output
        with open(output, "ab") as sink:
            self.child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                start_new_session=True,
                preexec_fn=lambda: os.sched_setaffinity(0, {core}),
            )
        self.pid = self.child.pid

    def alive(self):
        """Whether it still runs."""
        return self.child.poll() is None

    def tail(self, lines=8):
        """The last lines it wrote, for an error message."""
        with open(self.output, errors="replace") as text:
            return "".join(text.readlines()[-lines:]).strip()

    def stop(self, patience=5.0):
        """SIGTERM, then SIGKILL to its own session once `patience` seconds have passed."""
        if self.alive():
            self.child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(patience)
        # The session is ours alone: whatever is left in it was started by this process.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.child.wait()


def family(pids):
    """The pids given and all their descendants that run now."""
    found = []
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children") as children:
                    waiting.extend(int(child) for child in children.read().split())
    return found


def pin(pids, core):
    """Puts every thread of the processes and their descendants on one core."""
    for pid in family(pids):
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                with contextlib.suppress(OSError):
                    os.sched_setaffinity(int(task), {core})


@dataclass(frozen=True)
class Usage:
    """CPU time used and run delay suffered by a set of processes, in seconds."""

    cpu: float
    delay: float

    def since(self, earlier):
        """What was used between the two readings."""
        return Usage(self.cpu - earlier.cpu, self.delay - earlier.delay)


def usage(pids):
    """CPU time and run delay of the processes and their descendants, all threads."""
    cpu = 0
    delay = 0
    for pid in family(pids):
        with contextlib.suppress(OSError):
            # clock_getcpuclockid(3): the process clock of a pid is (~pid << 3) | CPUCLOCK_SCHED.
            cpu += time.clock_gettime_ns((~pid << 3) | 2)
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat") as stat:
                    delay += int(stat.read().split()[1])
    return Usage(cpu / 1e9, delay / 1e9)


def memory(pids):
    """Bytes of memory of the processes: anonymous and shared, each shared page counted once.

    Mapped files (the program itself, Varnish's log) are left out: they are the page cache's.
    """
    total = 0
    for pid in family(pids):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/smaps_rollup") as rollup:
                for line in rollup:
                    if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                        total += int(line.split()[1]) * 1024
    return total


def wait_for(probe, seconds, what, process=None):
    """Calls `probe` until it is true; raises with the process's last words when it is not."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if probe():
                return
        if process is not None and not process.alive():
            break
        time.sleep(0.02)
    raise RuntimeError(f"{what} is not ready: {process.tail() if process else 'no answer'}")


def describe():
    """One line on the machine: processor, cores, kernel, load."""
    model = "unknown processor"
    with open("/proc/cpuinfo") as cpuinfo:
        for line in cpuinfo:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    load = os.getloadavg()[0]
    return f"{model}, {os.cpu_count()} cores, Linux {os.uname().release}, load {load:.1f} at start"
