"""The servers: how each is installed, in an environment of its own, and started.

Each is configured as its documentation advises for production, with a process a core where it
needs several to use them. Versions are pinned beside each program in ``hello/``.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.request import urlopen

ROOT = Path(__file__).parent.parent
HELLO = ROOT / "bench" / "hello"
HERE = ROOT / "build" / "bench"
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
TOOLS = {
    "VIRTUAL_ENV": sys.prefix,  # where Go tests find ONNX Runtime
    # Machines behind a proxy of their own trust what the system trusts (the name changed over time).
    "UV_SYSTEM_CERTS": "1",
    "UV_NATIVE_TLS": "1",
}


class MissingError(Exception):
    """Something that a server needs is not there and could not be installed."""


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Server:
    """An installed server. ``{port}`` in the command is where it is to listen."""

    name: str
    command: list[str]
    versions: str
    folder: Path = ROOT
    environment: dict[str, str] = field(default_factory=dict)
    ready: str = ""  # the path that answers 200 once it is ready, of one that listens before


def run(*command: str | Path, folder: Path = ROOT, environment: dict[str, str] | None = None) -> str:
    """Run a command and return what it printed; its last words become the error."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | TOOLS | (environment or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise MissingError(
            f"{Path(command[0]).name} {command[1]} failed: {'; '.join(said[-3:]) or done.returncode}"
        )
    return done.stdout.strip()


def need(program: str, *packages: str) -> str:
    """The path of a program, installed from Debian's packages if need be."""
    if shutil.which(program) is None:
        try:
            run(ROOT / "scripts" / "apt.sh", *packages)
        except MissingError as e:
            raise MissingError(
                f"{program} is missing ({e}); install it, on Debian: {' '.join(packages)}"
            ) from e
    path = shutil.which(program)
    if path is None:
        raise MissingError(
            f"{program} is missing, also after the packages {' '.join(packages)} were installed"
        )
    return path


def python_environment(name: str, requirements: Path, interpreter: str = sys.executable) -> Path:
    """A virtual environment of its own with pinned packages; returns its bin folder."""
    here = HERE / name
    uv = shutil.which("uv") or str(ROOT / "build" / "uv" / "bin" / "uv")
    python = here / "bin" / "python"
    if not python.exists():
        shutil.rmtree(here, ignore_errors=True)
        run(uv, "venv", "--quiet", "--no-python-downloads", "--python", interpreter, here)
    run(uv, "pip", "sync", "--quiet", "--python", python, requirements)
    return here / "bin"


def python_versions(bin_folder: Path, *packages: str) -> str:
    """What a Python environment has."""
    code = """\
import platform, sys
from importlib.metadata import version
pypy = getattr(sys, "pypy_version_info", None)
python = ("PyPy %d.%d.%d, Python " % pypy[:3] if pypy else "CPython ") + platform.python_version()
print(", ".join([*(f"{name} {version(name)}" for name in sys.argv[1:]), python]))
"""
    return run(bin_folder / "python", "-c", code, *packages)


@cache
def flask_environment() -> Path:
    """Flask and gunicorn."""
    return python_environment("flask", HELLO / "flask" / "requirements.txt")


@cache
def flask_development() -> Server:
    """Flask's own server, which its documentation advises against in production."""
    here = flask_environment()
    command = [str(here / "flask"), "run", "--host", "127.0.0.1", "--port", "{port}"]
    return Server("flask-development", command, python_versions(here, "Flask", "Werkzeug"), HELLO / "flask")


@cache
def flask() -> Server:
    """Flask in gunicorn with gevent, and the two workers a core that Flask's guide starts with."""
    here = flask_environment()
    command = [str(here / "gunicorn"), "--workers", str(2 * CORES), "--worker-class", "gevent"]
    command += ["--bind", "127.0.0.1:{port}", "app:app"]
    return Server("flask", command, python_versions(here, "Flask", "gunicorn", "gevent"), HELLO / "flask")


@cache
def twisted() -> Server:
    """Twisted, whose reactor on Linux is epoll's."""
    here = python_environment("twisted", HELLO / "twisted" / "requirements.txt")
    command = [str(here / "python"), "app.py", "{port}", str(CORES)]
    return Server("twisted", command, python_versions(here, "Twisted"), HELLO / "twisted")


@cache
def twisted_pypy() -> Server:
    """The same on PyPy."""
    pypy = need("pypy3", "pypy3", "pypy3-venv")
    here = python_environment("twisted-pypy", HELLO / "twisted" / "requirements.txt", pypy)
    command = [str(here / "python"), "app.py", "{port}", str(CORES)]
    return Server("twisted-pypy", command, python_versions(here, "Twisted"), HELLO / "twisted")


@cache
def express() -> Server:
    """Express in a cluster, with NODE_ENV=production."""
    node = need("node", "nodejs", "npm")
    here = HERE / "express"
    shutil.copytree(HELLO / "express", here, dirs_exist_ok=True)
    run(need("npm", "npm"), "ci", "--omit=dev", "--no-audit", "--no-fund", folder=here)
    version = json.loads((here / "node_modules" / "express" / "package.json").read_text())["version"]
    command = [node, "app.js", "{port}", str(CORES)]
    versions = f"Express {version}, Node {run(node, '--version').lstrip('v')}"
    return Server("express", command, versions, here, {"NODE_ENV": "production"})


@cache
def chi() -> Server:
    """Go's net/http with chi."""
    run(ROOT / "scripts" / "go.sh", "build", "-o", HERE / "chi", "./bench/hello/chi")
    chi_version = run("go", "list", "-m", "-f", "{{.Version}}", "github.com/go-chi/chi/v5").lstrip("v")
    go_version = run("go", "env", "GOVERSION").removeprefix("go")
    return Server("chi", [str(HERE / "chi"), "127.0.0.1:{port}"], f"chi {chi_version}, Go {go_version}")


@cache
def forgo(model: str = "digits") -> Server:
    """``forgo serve`` with its defaults, on free ports; the ports that are not measured are off."""
    command = Path(sys.executable).with_name("forgo")
    doctor = json.loads(run(command, "doctor", "--json"))
    arguments = [
        "serve",
        f"build/bench/{model}.forgo",
        "--http",
        "127.0.0.1:{port}",
        "--grpc",
        "off",
        "--admin",
        "off",
    ]
    versions = f"forgo {doctor['version']}, ONNX Runtime {doctor['onnxruntime']['version']}, {doctor['go'].replace('go', 'Go ')}"
    return Server("forgo", [str(command), *arguments], versions, ready="/v2/health/ready")


@contextmanager
def starting(server: Server) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start a server and stop it in the end; gives its process and its port, where nothing may listen yet."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    with log(server).open("wb") as out:
        process = subprocess.Popen(
            [part.format(port=port) for part in server.command],
            cwd=server.folder,
            env=os.environ | server.environment,
            stdout=out,
            stderr=out,
            start_new_session=True,  # a group of its own, workers included
        )
    try:
        yield process, port
    finally:
        with suppress(ProcessLookupError):  # it ended by itself, and all of its group
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        with suppress(ProcessLookupError):  # workers may outlive it
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def log(server: Server) -> Path:
    """Where a server's output goes."""
    return HERE / f"{server.name}.log"


@contextmanager
def running(server: Server) -> Iterator[int]:
    """Start a server, wait until it listens or says that it is ready, and stop it in the end; gives its port."""
    with starting(server) as (process, port):
        deadline = time.monotonic() + 60
        while True:
            try:
                if server.ready:
                    urlopen(f"http://127.0.0.1:{port}{server.ready}", timeout=1).close()
                else:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise MissingError(f"{server.name} did not start; its log is {log(server)}") from None
                time.sleep(0.05)
        yield port
