"""A PostgreSQL server of our own: found, started on a data folder, and ended by its process id."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg

_DEBIAN = Path("/usr/lib/postgresql")
_START_SECONDS = 60


def find_programs() -> Path | None:
    """The folder of the newest PostgreSQL's server programs, None where none is installed."""
    folders = []
    if pg_config := shutil.which("pg_config"):
        asked = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)
        folders.append(Path(asked.stdout.strip()))
    if postgres := shutil.which("postgres"):
        folders.append(Path(postgres).resolve().parent)
    folders += sorted(_DEBIAN.glob("*/bin"), key=_major_version, reverse=True)
    return next((f for f in folders if (f / "postgres").exists() and (f / "initdb").exists()), None)


def _major_version(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdigit() else 0


def create_cluster(programs: Path, data: Path) -> None:
    """Make an empty cluster in a folder that is not there yet."""
    data.mkdir()
    if user := _unprivileged_user():
        shutil.chown(data, user)
    _run(
        [
            programs / "initdb",
            "--pgdata", data,
            "--username", "bench",
            "--auth", "trust",
            "--encoding", "UTF8",
            "--locale", "C",
        ]
    )  # fmt: skip


@contextmanager
def serve_cluster(programs: Path, data: Path) -> Iterator[str]:
    """Run a server on the folder as long as the context lasts; the way to connect to it.

    A commit is durable as the defaults have it (fsync, synchronous_commit), and memory as
    the manual advises: a part of the machine's to the server (two of them share a quarter, which
    either could hold its indexes in), the rest to the system's cache.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    settings = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "shared_buffers": f"{memory // 8}MB",
        "effective_cache_size": f"{memory * 3 // 4}MB",
        "work_mem": "256MB",
        "maintenance_work_mem": "1GB",
        "max_wal_size": "8GB",
        "checkpoint_timeout": "15min",
        "wal_level": "minimal",
        "wal_compression": "lz4",
        "max_wal_senders": "0",
        "random_page_cost": "1.1",
        "jit": "off",  # compiling costs more than it saves here
        "timezone": "UTC",
        "listen_addresses": "",
    }
    with tempfile.TemporaryDirectory(prefix="bench-") as sockets:
        if user := _unprivileged_user():
            shutil.chown(sockets, user)
        command: list[str | Path] = [programs / "postgres", "-D", data, "-k", sockets]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with (data.parent / "postgres.log").open("ab") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log, user=user, cwd="/")
        address = f"host={sockets} user=bench dbname=postgres"
        try:
            _wait_until_ready(server, address, data.parent / "postgres.log")
            yield address
        finally:
            server.send_signal(signal.SIGINT)  # a fast shutdown, with a checkpoint
            server.wait()


def _wait_until_ready(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while True:
        try:
            psycopg.connect(address).close()
        except psycopg.OperationalError as error:
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"PostgreSQL did not start; {log} says why") from error
            time.sleep(0.05)
        else:
            return


def _run(command: Sequence[str | Path]) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, user=_unprivileged_user(), cwd="/", check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr.strip()}")


def _unprivileged_user() -> str | None:
    """Whom to run as when we are root, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return None
    names = {user.pw_name for user in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
