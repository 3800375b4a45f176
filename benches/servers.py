"""The servers side by side: headland, its peers, the floor, and the origins behind them.

Each server is a class that writes its configuration from a template in `peers/` (`@NAME@` is
replaced), starts its processes pinned to the servers' core, and says when it is ready. The origin
and Varnish's log writer run on the load generator's core.
"""

import http.client
import os
import shutil
import socket
import subprocess
from pathlib import Path

import machine

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"


class Unavailable(Exception):
    """A server that cannot run here; the message says what is missing."""


class World:
    """What all servers share: folders, certificate, bodies, cores, and the origins."""

    def __init__(self, run, cores, options, body_sizes):
        self.run = Path(run)
        self.cores = cores
        self.options = options
        self.cache_root = Path(options.cache_dir) if options.cache_dir else self._cache_root()
        self._make_certificate()
        self._make_bodies(body_sizes)
        self.origin_port, self.slow_port = machine.free_ports(2)
        self.values = {
            "RUN": self.run,
            "CERT": self.run / "cert.pem",
            "KEY": self.run / "key.pem",
            "PEM": self.run / "both.pem",
            "ORIGIN": self.origin_port,
            "SLOW": self.slow_port,
            "MEMORY_MIB": options.memory_mib,
            "USER": "user root;" if os.geteuid() == 0 else "",
            "HITCH_USER": 'user = "root"' if os.geteuid() == 0 else "",
        }
        self.processes = []
        self.servers = []
        self.count_reads = 0
        try:
            self._start_origins()
        except BaseException:
            self.close()
            raise

    def _cache_root(self):
        """Memory, when a file system of it has room: nginx then competes without a disk."""
        memory = Path("/dev/shm")
        room = shutil.disk_usage(memory).free if memory.is_dir() else 0
        return memory if room > 2 * self.options.memory_mib << 20 else self.run

    def _make_certificate(self):
        command = (
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30"
            " -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
            " -keyout key.pem -out cert.pem"
        )
        subprocess.run(command.split(), cwd=self.run, check=True, capture_output=True)
        both = (self.run / "cert.pem").read_bytes() + (self.run / "key.pem").read_bytes()
        (self.run / "both.pem").write_bytes(both)
        (self.run / "both.pem").chmod(0o600)

    def make_own(self, size, prefix, count):
        """Bodies that differ: `count` objects of `size` bytes, `prefix` in front of each number."""
        folder = self.run / "own" / "o" / str(size)
        if (folder / f"{prefix}{count - 1}").exists():
            return
        folder.mkdir(parents=True, exist_ok=True)
        noise = os.urandom(size)
        for n in range(count):
            (folder / f"{prefix}{n}").write_bytes(n.to_bytes(8, "little") + noise[8:])

    def _make_bodies(self, sizes):
        folder = self.run / "bodies"
        folder.mkdir()
        noise = os.urandom(1 << 20)
        for size in sizes:
            (folder / str(size)).write_bytes((noise * (size // len(noise) + 1))[:size])

    def _start_origins(self):
        config = self.template("origin.conf", {})
        (self.run / "origin-tmp").mkdir()
        origin = self.start(["nginx", "-c", config], self.cores.load, "origin")
        machine.wait_for(lambda: self.origin_requests() is not None, 10, "the origin", origin)
        script = [find("python3"), HERE / "slow_origin.py", self.slow_port]
        slow = self.start(script, self.cores.load, "slow")
        machine.wait_for(lambda: self.slow_requests() is not None, 10, "the slow origin", slow)

    def start(self, command, core, name, cwd=None):
        """Starts a process that lives as long as the world."""
        process = machine.Process(
            [find(command[0]), *command[1:]], core, self.run / f"{name}.out", cwd
        )
        self.processes.append(process)
        return process

    def template(self, name, values):
        """Fills a template of `peers/` and returns the path of the result."""
        text = (PEERS / name).read_text()
        for key, value in {**self.values, **values}.items():
            text = text.replace(f"@{key}@", str(value))
        number = len(list(self.run.glob(f"*-{name}")))
        path = self.run / f"{number}-{name}"
        path.write_text(text)
        return path

    def origin_requests(self):
        """Requests the origin has had for objects; its own counter page does not count."""
        text = get(self.origin_port, "/requests").body.decode()
        self.count_reads += 1
        return int(text.splitlines()[2].split()[2]) - self.count_reads

    def slow_requests(self):
        """Requests the slow origin has had for objects."""
        return int(get(self.slow_port, "/requests").body)

    def close(self):
        """Ends the servers still there and the origins, newest first."""
        for server in list(self.servers):
            server.close()
        for process in reversed(self.processes):
            process.stop()


class Answer:
    """A whole response: status, header fields, body."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()


def get(port, path, tls=None):
    """One GET on loopback, by h1, with TLS when a context is given."""
    if tls is None:
        connection = http.client.HTTPConnection("localhost", port, timeout=10)
        connection.sock = socket.create_connection(("127.0.0.1", port), 10)
    else:
        connection = http.client.HTTPSConnection("localhost", port, timeout=10, context=tls)
    try:
        connection.request("GET", path)
        return Answer(connection.getresponse())
    finally:
        connection.close()


def find(program):
    """The path of a program; Debian keeps servers in sbin, which is not on everyone's path."""
    if os.sep in str(program):
        return program
    found = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        raise Unavailable(f"{program} is not installed (benches/setup.sh installs it)")
    return found


class Server:
    """One server under test: its processes and its loopback ports, by door."""

    name = ""
    doors = ("h1", "tls")
    # Whether its memory grows with what it stores; HAProxy touches all of its cache at start.
    grows = True

    def __init__(self, world):
        self.world = world
        numbers = machine.free_ports(3)
        self.ports = dict(zip(("h1", "tls", "admin"), numbers))
        self.processes = []
        self.extra = []
        self.folder = None
        world.servers.append(self)
        try:
            self.launch({key.upper(): port for key, port in self.ports.items()})
        except BaseException:
            self.close()
            raise

    def launch(self, ports):
        """Starts the processes and returns when requests can be served."""
        raise NotImplementedError

    def version(self):
        """The version it tells about itself."""
        raise NotImplementedError

    def pids(self):
        """The processes whose CPU time and memory count; their children are added later."""
        return [process.pid for process in self.processes]

    def begin(self, command, name, cwd=None):
        """Starts a process of this server on the servers' core."""
        process = self.world.start(command, self.world.cores.server, name, cwd)
        self.processes.append(process)
        return process

    def cache_folder(self):
        """A fresh folder for cached files, removed when the server is closed."""
        self.folder = self.world.cache_root / f"headland-bench-{os.getpid()}-{self.ports['h1']}"
        self.folder.mkdir()
        return self.folder

    def wait(self, process, door="h1"):
        """Waits for the origin's smallest object through a door."""
        port = self.ports[door]
        ready = lambda: get(port, "/o/1024/ready").status == 200
        machine.wait_for(ready, 15, self.name, process)

    def close(self):
        """Ends its processes and removes its files."""
        for process in reversed(self.extra + self.processes):
            process.stop()
            self.world.processes.remove(process)
        self.processes, self.extra = [], []
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
        if self in self.world.servers:
            self.world.servers.remove(self)


class Headland(Server):
    """The node built from this repository."""

    name = "headland"
    doors = ("h1", "tls", "h3")

    def values(self):
        """What its configuration says of the tiers."""
        return {"DISK": ""}

    def launch(self, ports):
        binary = self.world.options.headland
        if not binary.exists():
            raise Unavailable(f"{binary} does not exist (cargo build --release makes it)")
        config = self.world.template("headland.toml", {**ports, **self.values()})
        process = self.begin([binary, "run", "--config", config], self.name)
        ready = lambda: get(self.ports["admin"], "/readyz").status == 200
        machine.wait_for(ready, 15, self.name, process)

    def version(self):
        return first_line([self.world.options.headland, "--version"])


class HeadlandDisk(Headland):
    """The same with a disk tier behind a memory tier too small for what is asked."""

    name = "headland disk"

    def values(self):
        folder = self.cache_folder()
        return {"MEMORY_MIB": 32, "DISK": f'disk = {{ path = "{folder}", size = "1GiB" }}'}


class Nginx(Server):
    """nginx with proxy_cache; master, worker and cache manager count."""

    name = "nginx"

    def sendfile(self):
        """Whether bodies leave by sendfile."""
        return self.world.options.nginx_sendfile

    def launch(self, ports):
        (self.world.run / "nginx-tmp").mkdir(exist_ok=True)
        # Cached files may hold no descriptor that a connection needs.
        open_files = max(1000, min(60_000, machine.raise_file_limit() - 3000))
        values = {
            "CACHE": self.cache_folder(),
            "SENDFILE": self.sendfile(),
            "OPEN_FILES": open_files,
        }
        config = self.world.template("nginx.conf", {**ports, **values})
        self.wait(self.begin(["nginx", "-c", config], self.name))

    def version(self):
        return first_line([find("nginx"), "-v"])


class NginxSendfile(Nginx):
    """The same with sendfile on, which copies no body, and stalls small ones on loopback."""

    name = "nginx sendfile"

    def sendfile(self):
        return "on"


class Haproxy(Server):
    """HAProxy with its cache; its log goes to a ring in memory."""

    name = "haproxy"
    grows = False

    def launch(self, ports):
        values = {**ports, "BUFSIZE": self.world.options.haproxy_bufsize}
        config = self.world.template("haproxy.cfg", values)
        self.wait(self.begin(["haproxy", "-db", "-f", config], self.name))

    def version(self):
        return first_line([find("haproxy"), "-v"])


class Varnish(Server):
    """Varnish with its objects in memory, and hitch for TLS; both count."""

    name = "varnish"

    def launch(self, ports):
        find("hitch")
        vcl = self.world.template("varnish.vcl", ports)
        folder = self.world.run / f"v{self.ports['h1']}"
        folder.mkdir()
        socket_path = folder / "s"
        parameters = {
            "thread_pools": 1,
            "thread_pool_min": 700,  # every stream of 16 x 32 holds a thread
            "thread_pool_max": 2000,
            "thread_pool_stack": "80k",
            "timeout_idle": 3600,
            "listen_depth": 4096,
            "fetch_chunksize": "128k",
            "http_gzip_support": "off",
            "feature": "+http2",
        }
        command = ["varnishd", "-F", "-j", "none", "-n", folder, "-f", vcl]
        command += ["-s", f"malloc,{self.world.options.memory_mib}M"]
        command += ["-a", f"127.0.0.1:{self.ports['h1']}", "-a", f"{socket_path},PROXY"]
        for name, value in parameters.items():
            command += ["-p", f"{name}={value}"]
        self.wait(self.begin(command, self.name))
        log = ["varnishncsa", "-n", folder, "-w", self.world.run / "varnish.access"]
        self.extra.append(self.world.start(log, self.world.cores.load, "varnishncsa"))
        config = self.world.template("hitch.conf", {**ports, "SOCKET": socket_path})
        hitch = self.begin(["hitch", f"--config={config}"], "hitch")
        listening = lambda: socket.create_connection(("127.0.0.1", self.ports["tls"]), 1).close()
        machine.wait_for(lambda: listening() is None, 10, "hitch", hitch)

    def version(self):
        varnish = first_line([find("varnishd"), "-V"])
        return f"{varnish}; {first_line([find('hitch'), '--version'])}"


class Floor(Server):
    """The bare epoll responder: h1 alone, one port for each body size, no cache and no log."""

    name = "floor"
    doors = ("h1",)
    sizes = (1024, 65536, 10485760)

    def launch(self, ports):
        binary = self.world.run / "floor"
        if not binary.exists():
            compiler = [find("cc"), "-O2", "-o", binary, PEERS / "floor.c"]
            subprocess.run(compiler, check=True)
        self.by_size = dict(zip(self.sizes, machine.free_ports(len(self.sizes))))
        self.ports["h1"] = self.by_size[1024]
        specs = [f"{port}:{size}" for size, port in self.by_size.items()]
        self.wait(self.begin([binary, *specs], self.name))

    def version(self):
        return "benches/peers/floor.c"


class ReleasedH3(Server):
    """quinn under the released h3 and h3-quinn crates, bodies from memory, no cache, no log."""

    name = "released h3"
    doors = ("h3",)

    def launch(self, ports):
        binary = self.world.options.released_h3
        if not binary.exists():
            build = "cargo build --release --example released_h3"
            raise Unavailable(f"{binary} does not exist ({build} makes it)")
        values = self.world.values
        command = [binary, self.ports["tls"], values["CERT"], values["KEY"]]
        process = self.begin(command, "released_h3")
        # A UDP door shows no sign of life of its own: it is up when its port is taken.
        machine.wait_for(lambda: udp_taken(self.ports["tls"]), 10, self.name, process)

    def version(self):
        return "h3 0.0.8, h3-quinn 0.0.10 (benches/released_h3.rs)"


def udp_taken(port):
    """Whether some process holds the UDP port, on any address."""
    suffix = f":{port:04X}"
    for table in ("/proc/net/udp", "/proc/net/udp6"):
        if os.path.exists(table):
            lines = Path(table).read_text().splitlines()[1:]
            if any(line.split()[1].endswith(suffix) for line in lines):
                return True
    return False


def first_line(command):
    """The first line a program prints when asked for its version."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=10
    )
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0] if lines else "unknown version"


KINDS = (Headland, HeadlandDisk, Nginx, NginxSendfile, Haproxy, Varnish, Floor, ReleasedH3)
ALL = {kind.name: kind for kind in KINDS}
