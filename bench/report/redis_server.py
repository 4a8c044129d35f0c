"""redis-server under redis-benchmark: the server runs on the allocator of the column and is measured, the client is not.

The server listens on a socket in a temporary folder only, and saves nothing. Its CPU time is read from the CPU clock of its
process (nanoseconds, all threads) after start and before shutdown, its peak memory from VmHWM.
"""
import os
import socket
import subprocess
import tempfile
import time

from contenders import command

START_SECONDS = 20
COMMAND_SECONDS = 60
PIPELINE = "16"  # Requests in flight: without it the server waits for the client and the system call is all there is.
OPTIONS = ["--port", "0", "--save", "", "--appendonly", "no", "--daemonize", "no", "--loglevel", "warning",
           "--enable-debug-command", "local"]


class ServerError(Exception):
    """The server or its client did not do what was asked."""


def cpu_seconds(pid):
    """CPU time of a process. The clock's number is made of the process id as clock_getcpuclockid(3) makes it."""
    return time.clock_gettime((~pid << 3) | 2)


def status_kib(pid, key):
    with open(f"/proc/{pid}/status", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith(key + ":"):
                return int(line.split()[1])
    raise ServerError(f"/proc/{pid}/status has no {key}")


def is_mapped(pid, path):
    with open(f"/proc/{pid}/maps", encoding="utf-8") as lines:
        return any(os.path.realpath(path) in line for line in lines)


def ask(address, *words):
    """Sends one command and returns the first line of the reply."""
    message = b"*%d\r\n" % len(words)
    for word in words:
        data = word.encode()
        message += b"$%d\r\n%s\r\n" % (len(data), data)
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(COMMAND_SECONDS)
        link.connect(address)
        link.sendall(message)
        reply = b""
        while not reply.endswith(b"\r\n"):
            part = link.recv(65536)
            if not part:
                break
            reply += part
    text = reply.decode(errors="replace").strip()
    if text.startswith("-"):
        raise ServerError(f"redis answered {text}")
    return text


def wait_until_ready(server, address):
    limit = time.monotonic() + START_SECONDS
    while time.monotonic() < limit:
        if server.poll() is not None:
            raise ServerError(f"redis-server ended at start with {server.returncode}")
        try:
            if ask(address, "PING") == "+PONG":
                return
        except (FileNotFoundError, ConnectionRefusedError):
            time.sleep(0.005)
    raise ServerError(f"redis-server was not ready after {START_SECONDS} s")


def load(program, address):
    """Runs redis-benchmark once for each line of the program; @N in a line stands for a value of N bytes."""
    environment = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
    with open(program.source, encoding="utf-8") as lines:
        for line in lines:
            words = line.split()
            if not words or words[0] == "#":
                continue
            requests, keys, *request = words
            request = ["v" * int(word[1:]) if word.startswith("@") else word for word in request]
            run = subprocess.run([command("redis-benchmark"), "-s", address, "-q", "-n", requests, "-r", keys, "-P", PIPELINE,
                                  *request], env=environment, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
            if run.returncode != 0 or "error" in (run.stdout + run.stderr).lower():
                raise ServerError(f"redis-benchmark: {(run.stdout + run.stderr).strip()[-200:]}")


def digest(program, address):
    """What a server holds after a fixed series of commands: the same on every allocator."""
    with open(os.path.join(os.path.dirname(program.source), "digest.lua"), encoding="utf-8") as script:
        ask(address, "FLUSHALL", "SYNC")
        keys = ask(address, "EVAL", script.read(), "0")
    return f"{keys} keys, digest {ask(address, 'DEBUG', 'DIGEST')}\n"


def measure(program, server, allocator, address):
    wait_until_ready(server, address)
    if not is_mapped(server.pid, allocator.path):
        raise ServerError(f"{allocator.path} is not loaded")
    cpu_start, wall_start = cpu_seconds(server.pid), time.monotonic()
    load(program, address)
    result = {
        "wall_s": time.monotonic() - wall_start,
        "cpu_s": cpu_seconds(server.pid) - cpu_start,
        "rss_mib": status_kib(server.pid, "VmHWM") / 1024,
    }
    result["output"] = digest(program, address)
    try:
        ask(address, "SHUTDOWN", "NOSAVE")
    except ConnectionResetError:
        pass  # It may be gone before it could answer.
    if server.wait(START_SECONDS) != 0:
        raise ServerError(f"redis-server ended with {server.returncode}")
    return result


def run(program, allocator):
    """As sample.Launcher.run_command: the costs, or a failure."""
    with tempfile.TemporaryDirectory(prefix="acre-bench-") as folder:
        address = os.path.join(folder, "socket")
        with open(os.path.join(folder, "log"), "w+", encoding="utf-8", errors="replace") as log:
            with subprocess.Popen([command("redis-server"), *OPTIONS, "--unixsocket", address, "--dir", folder], stdout=log,
                                  stderr=log, env={**os.environ, **allocator.environment()}) as server:
                try:
                    return measure(program, server, allocator, address)
                except (ServerError, OSError, subprocess.SubprocessError) as error:
                    log.seek(0)
                    last = log.read().strip().splitlines()
                    return {"failure": f"{error}" + (f" ({last[-1]})" if last else "")}
                finally:
                    if server.poll() is None:
                        server.kill()
