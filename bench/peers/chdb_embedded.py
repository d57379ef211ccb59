"""Embedded ClickHouse: chDB, the engine as a library in this process."""

from collections.abc import Mapping
from pathlib import Path

from chdb.session import Session

from bench.peers.clickhouse_rows import ClickHouse


def open_chdb(folder: Path) -> ClickHouse:
    """ClickHouse on a folder; a process can have one open at a time."""
    # chDB has types for some of its functions only.
    session = Session(str(folder / "data"))  # type: ignore[no-untyped-call]

    def run(statement: str, values: Mapping[str, object]) -> bytes:
        answer = session.query(statement, "TSV", params=dict(values))  # type: ignore[no-untyped-call]
        return bytes(answer.bytes())

    return ClickHouse(run, session.close)
