"""A real ClickHouse node on the loopback address, without a server package.

An npm package carries the whole engine as a library, exactly the one of a lock file. Its entry for
the command line takes what ``clickhouse local`` takes, and that program can listen. So a process
that loads the library and tells it to listen is a node.

    python -m bench.clickhouse_node LIBRARY FOLDER PORT
"""

import ctypes
import fcntl
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from hashlib import sha256
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NamedTuple

_LOCKED = Path(__file__).parent / "peers" / "clickhouse_library"
_CACHE = Path(__file__).resolve().parent.parent / ".cache" / "npm"
_LIBRARY = Path("node_modules/@chdb/lib-linux-x64-gnu/libchdb.so")
_START_SECONDS = 60
_END_SECONDS = 30
_LONGEST_SECONDS = 6 * 3600
_CONFIG = "<clickhouse><listen_host>127.0.0.1</listen_host></clickhouse>"


class Node(NamedTuple):
    """A node that answers on a port."""

    process: subprocess.Popen[bytes]
    port: int

    def end(self) -> None:
        """End it by its own process id."""
        self.process.terminate()
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_node(folder: Path) -> Node:
    """A node on a folder, once it answers.

    Raises OSError or CalledProcessError where its library cannot be had, RuntimeError where it does
    not start.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log_path = folder / "clickhouse.log"
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.clickhouse_node", find_library(), folder, str(port)],
            cwd=Path(__file__).resolve().parent.parent,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    node = Node(process, port)
    until = time.monotonic() + _START_SECONDS
    while not answers(port):
        if process.poll() is not None or time.monotonic() > until:
            node.end()
            raise RuntimeError(f"ClickHouse did not start; {log_path} says why")
        time.sleep(0.05)
    return node


def find_library() -> Path:
    """The engine's library, installed the first time."""
    lock = (_LOCKED / "package-lock.json").read_bytes()
    folder = _CACHE / f"clickhouse-{sha256(lock).hexdigest()[:12]}"
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "clickhouse.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # tests run in several processes
        if not (folder / _LIBRARY).exists():
            unfinished = folder.with_name(f"{folder.name}-unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.copytree(_LOCKED, unfinished)
            subprocess.run(["npm", "ci", "--loglevel=error"], cwd=unfinished, check=True)
            unfinished.rename(folder)
    return folder / _LIBRARY


def answers(port: int) -> bool:
    """Whether a node answers on a port."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def main() -> None:
    """Serve until the process is ended, and a few hours at most."""
    library, folder, port = sys.argv[1:]
    config = Path(folder) / "config.xml"
    config.write_text(_CONFIG, encoding="utf-8")
    stay = (
        f"SELECT sum(sleepEachRow(1)) FROM numbers({_LONGEST_SECONDS}) "
        "SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0 FORMAT Null"
    )
    arguments = [
        "clickhouse",
        f"--config-file={config}",
        f"--path={Path(folder) / 'data'}",
        "--listen_host=127.0.0.1",
        f"--http_port={port}",
        "--multiquery",
        f"--query=SYSTEM START LISTEN HTTP; {stay}",
    ]
    run_engine(library, arguments)


def run_engine(library: str, arguments: Sequence[str]) -> None:
    """Run the engine with a command line until it ends; an error of its ends the process."""
    engine = ctypes.CDLL(library)
    engine.chdb_query_cmdline.restype = ctypes.c_void_p
    engine.chdb_result_error.restype = ctypes.c_char_p
    engine.chdb_result_error.argtypes = [ctypes.c_void_p]
    values = (ctypes.c_char_p * len(arguments))(*(text.encode() for text in arguments))
    error = engine.chdb_result_error(engine.chdb_query_cmdline(len(arguments), values))
    if error:
        sys.exit(error.decode())


if __name__ == "__main__":
    main()
