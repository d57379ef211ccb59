"""Real ClickHouse nodes on the loopback address: two shards, started once for all tests.

An npm package carries the whole engine as a library, exactly the one of a lock file. Its entry for
the command line takes what ``clickhouse local`` takes, and that program can listen. So a process
that loads the library and tells it to listen is a node.

    python -m tests.clickhouse LIBRARY FOLDER HTTP_PORT TCP_PORT SHARD_PORTS OWNER
"""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

from bench.clickhouse_node import answers, find_library, run_engine

CLUSTER = "two_shards"

_ROOT = Path(__file__).parents[1]
_START_SECONDS = 120
_END_SECONDS = 30


class Node(NamedTuple):
    """A node, whoever started it."""

    process_id: int
    port: int

    def ask(self, query: str) -> str:
        """What it answers to a statement; for what no store would do."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("POST", "/?log_comment=tests", query.encode())
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        finally:
            connection.close()
        assert answer.status == 200, text
        return text

    def end(self) -> None:
        """End it by its own process id."""
        with suppress(ProcessLookupError):
            os.kill(self.process_id, signal.SIGTERM)
            until = time.monotonic() + _END_SECONDS
            while _runs(self.process_id) and time.monotonic() < until:
                time.sleep(0.02)
            os.kill(self.process_id, signal.SIGKILL)


@contextmanager
def shared_nodes(folder: Path, owner: int) -> Iterator[list[Node]]:
    """Two nodes that all who name the folder share: the first starts them, the last ends them.

    They end by themselves where the process ``owner`` has ended.
    """
    state = folder / "nodes.json"
    with _held(folder):
        if state.exists():
            users, *nodes = json.loads(state.read_text())
        else:
            users, nodes = 0, start_nodes(folder, owner)
        state.write_text(json.dumps([users + 1, *nodes]))
    nodes = [Node(*node) for node in nodes]
    try:
        yield nodes
    finally:
        with _held(folder):
            users, *_ = json.loads(state.read_text())
            if users > 1:
                state.write_text(json.dumps([users - 1, *nodes]))
            else:
                for node in nodes:
                    node.end()
                state.unlink()


def start_nodes(folder: Path, owner: int, count: int = 2) -> list[Node]:
    """Nodes of one cluster, a shard each, once all of them answer."""
    library = find_library()
    ports = _free_ports(2 * count)
    http_ports, tcp_ports = ports[:count], ports[count:]
    processes = []
    for http_port, tcp_port in zip(http_ports, tcp_ports, strict=True):
        own = folder / f"node-{http_port}"
        own.mkdir()
        shards = ",".join(map(str, tcp_ports))
        arguments = [str(library), str(own), str(http_port), str(tcp_port), shards, str(owner)]
        with (own / "clickhouse.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.clickhouse", *arguments],
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        processes.append(process)
    nodes = [Node(process.pid, port) for process, port in zip(processes, http_ports, strict=True)]
    until = time.monotonic() + _START_SECONDS
    for node, process in zip(nodes, processes, strict=True):
        while not answers(node.port):
            if process.poll() is not None or time.monotonic() > until:
                for each in nodes:
                    each.end()
                raise RuntimeError(f"ClickHouse did not start; the logs in {folder} say why")
            time.sleep(0.05)
        process.returncode = 0  # whoever comes last ends it, which need not be this process
    return nodes


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _runs(process_id: int) -> bool:
    """Whether a process is there and more than the entry that its parent has not read."""
    try:
        status = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


_CONFIG = """<clickhouse>
  <listen_host>127.0.0.1</listen_host>
  <mark_cache_size>67108864</mark_cache_size>
  <query_log><database>system</database><table>query_log</table></query_log>
  <remote_servers><{name}>{shards}</{name}></remote_servers>
</clickhouse>
"""
_SHARD = """
<shard><internal_replication>true</internal_replication>
  <replica><host>127.0.0.1</host><port>{}</port></replica>
</shard>
"""


def main() -> None:
    """Serve until the process or its owner is ended, and a few hours at most."""
    library, folder, http_port, tcp_port, shard_ports, owner = sys.argv[1:]
    shards = "".join(map(_SHARD.format, shard_ports.split(",")))
    config = Path(folder) / "config.xml"
    config.write_text(_CONFIG.format(name=CLUSTER, shards=shards), encoding="utf-8")
    stay = (
        "SELECT sum(sleepEachRow(1)) FROM numbers(21600) "
        "SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 0 FORMAT Null"
    )
    arguments = [
        "clickhouse",
        f"--config-file={config}",
        f"--path={Path(folder) / 'data'}",
        "--listen_host=127.0.0.1",
        f"--http_port={http_port}",
        f"--tcp_port={tcp_port}",
        "--multiquery",
        f"--query=SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; {stay}",
    ]
    threading.Thread(target=_end_with, args=(int(owner),), daemon=True).start()
    run_engine(library, arguments)


def _end_with(owner: int) -> None:
    while _runs(owner):
        time.sleep(0.5)
    os._exit(0)


if __name__ == "__main__":
    main()
