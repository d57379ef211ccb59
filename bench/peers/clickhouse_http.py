"""A ClickHouse node of its own, asked over HTTP on one kept connection."""

from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

from bench.clickhouse_node import start_node
from bench.peers.clickhouse_rows import ClickHouse

_PATIENCE_SECONDS = 3600


def open_node(folder: Path) -> ClickHouse:
    """A node on a folder, which ends when the peer is closed."""
    node = start_node(folder)
    connection = HTTPConnection("127.0.0.1", node.port, timeout=_PATIENCE_SECONDS)

    def run(statement: str, values: Mapping[str, object]) -> bytes:
        parameters = urlencode({f"param_{name}": value for name, value in values.items()})
        connection.request("POST", f"/?{parameters}", statement.encode())
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(text.decode(errors="replace"))
        return text

    def close() -> None:
        connection.close()
        node.end()

    try:
        return ClickHouse(run, close)
    except BaseException:
        close()
        raise
