"""Every peer: what it is called, how it is opened, and whether it can be had on this machine."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from subprocess import CalledProcessError
from typing import NamedTuple

from bench.clickhouse_node import find_library
from bench.peers import Peer
from bench.peers.postgres.server import find_programs

_HERE = Path(__file__).parent
_SHARED = ("answers.py", "encoding.py")


class Kind(NamedTuple):
    """A kind of peer; ``missing`` says why it cannot be had, and nothing where it can."""

    name: str
    folder: str
    files: tuple[str, ...]
    open: Callable[[Path], Peer]
    missing: Callable[[], str | None]

    def sources(self) -> Iterator[Path]:
        """The code that its data depend on."""
        yield from (_HERE / name for name in (*self.files, *_SHARED))


def _open_covering(folder: Path) -> Peer:
    from bench.peers.postgres.covering import open_covering

    return open_covering(folder)


def _open_rollup(folder: Path) -> Peer:
    from bench.peers.postgres.rollup import open_rollup

    return open_rollup(folder)


def _open_duckdb(folder: Path) -> Peer:
    from bench.peers.duckdb_rows import DuckDB

    return DuckDB(folder)


def _open_sqlite(folder: Path) -> Peer:
    from bench.peers.sqlite_rows import SQLiteRows

    return SQLiteRows(folder)


def _open_chdb(folder: Path) -> Peer:
    from bench.peers.chdb_embedded import open_chdb

    return open_chdb(folder)


def _open_node(folder: Path) -> Peer:
    from bench.peers.clickhouse_http import open_node

    return open_node(folder)


def _without_postgres() -> str | None:
    return None if find_programs() else "PostgreSQL is not installed"


def _without_node() -> str | None:
    try:
        find_library()
    except (OSError, CalledProcessError) as error:
        return f"its library cannot be installed: {error}"
    return None


def _without(module: str) -> Callable[[], str | None]:
    return lambda: None if find_spec(module) else f"the package {module} is not installed"


_COVERING = ("postgres/schema.py", "postgres/recording.py", "postgres/covering.py")

POSTGRES = Kind("PostgreSQL", "postgres", _COVERING, _open_covering, _without_postgres)
PEERS = (
    POSTGRES,
    Kind(
        "PostgreSQL, rollups",
        "rollups",
        (*_COVERING, "postgres/rollup.py"),
        _open_rollup,
        _without_postgres,
    ),
    Kind("DuckDB", "duckdb", ("duckdb_rows.py",), _open_duckdb, _without("duckdb")),
    Kind("SQLite rows", "sqlite", ("sqlite_rows.py",), _open_sqlite, lambda: None),
    Kind("chDB", "chdb", ("clickhouse_rows.py", "chdb_embedded.py"), _open_chdb, _without("chdb")),
    Kind(
        "ClickHouse",
        "clickhouse",
        ("clickhouse_rows.py", "clickhouse_http.py"),
        _open_node,
        _without_node,
    ),
)
