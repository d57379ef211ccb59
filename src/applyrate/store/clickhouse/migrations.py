"""Migrations: numbered SQL files that make the tables of every node, each applied once.

Whoever applies them holds a lock, a table that is made without ``IF NOT EXISTS``: making it is what
only one can do. Statements can be run again, so that a migration that was cut off is applied anew.
"""

import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import Final

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from applyrate.errors import ApplyrateError, Unavailable
from applyrate.store.clickhouse.address import Host
from applyrate.store.clickhouse.cluster import Cluster
from applyrate.store.clickhouse.troubles import explain
from applyrate.store.sqlite.migrations import WrittenByNewer

_FOLDER = files("applyrate.store") / "migrations" / "clickhouse"
_SECRET_BYTES: Final = 32
_TABLE_EXISTS: Final = 57
_WAIT_SECONDS: Final = 120
_STALE_SECONDS: Final = 600
"""A lock that is older was left by someone who was cut off: a migration takes seconds."""

_COMMENT = re.compile(r"--.*")
_ENGINE = re.compile(r"ENGINE = (\w*MergeTree)\b")


class NotMigrated(ApplyrateError):
    """The tables of a cluster are not those that this version works with."""


def migrate(cluster: Cluster) -> list[str]:
    """Apply what was not applied yet on each node; the names of what was applied on any.

    Raises WrittenByNewer where one was applied that this version does not know, NotMigrated where
    the address does not name every node of the cluster.
    """
    try:
        nodes = {host: cluster.client(host, database="system") for host in cluster.address.hosts}
        _check_all_are_named(cluster, nodes[cluster.address.hosts[0]])
        for client in nodes.values():
            client.command(f"CREATE DATABASE IF NOT EXISTS {cluster.address.database}")
        first = min(nodes, key=lambda host: (host.name, host.port))
        with _locked(nodes[first], cluster.address.database):
            applied = [name for host in nodes for name in _apply(cluster, host)]
            _make_secrets(cluster)
    except ClickHouseError as error:
        raise explain(error, cluster.limits) from error
    return list(dict.fromkeys(applied))


def check_migrated(cluster: Cluster) -> None:
    """Raise WrittenByNewer or NotMigrated unless the tables are those of this version."""
    name = cluster.address.database
    applied = _applied(cluster)
    if unknown := [one for one in applied if one not in _files()]:
        raise WrittenByNewer(
            f"the database {name!r} was written by a newer version of Applyrate: this one does not"
            f" know {unknown[-1]!r}; install the newer one again"
        )
    if missing := [one for one in _files() if one not in applied]:
        raise NotMigrated(
            f"the database {name!r} lacks {missing[0]!r}, which this version works with; run"
            " `applyrate migrate` once, with the same address"
        )


def foreign_migrations(cluster: Cluster) -> list[str]:
    """The migrations in which the tables and this version differ."""
    return sorted(set(_applied(cluster)) ^ set(_files()))


def _applied(cluster: Cluster) -> Sequence[str]:
    """The names of what was applied on the node that answers, in their order."""
    db = cluster.doing("migrations")
    found = db.rows(_FIND_TABLE, {"database": cluster.address.database})
    return [name for (name,) in db.rows(_APPLIED)] if found else []


def _files() -> dict[str, str]:
    """The migrations of this version by name, in their order."""
    named = sorted(_FOLDER.iterdir(), key=lambda file: file.name)
    return {file.name: file.read_text(encoding="utf-8") for file in named}


def _check_all_are_named(cluster: Cluster, client: Client) -> None:
    address = cluster.address
    if address.cluster is None:
        return
    count = client.query(_NODE_COUNT, parameters={"cluster": address.cluster}).result_rows[0][0]
    if not count:
        raise NotMigrated(
            f"cluster: {address.hosts[0]} knows no cluster {address.cluster!r}; it stands in"
            " <remote_servers> of the configuration of ClickHouse"
        )
    if count != len(address.hosts):
        raise NotMigrated(
            f"store: the address names {len(address.hosts)} hosts, and the cluster"
            f" {address.cluster!r} has {count} nodes; name all of them, separated by commas"
        )


@contextmanager
def _locked(client: Client, database: str) -> Iterator[None]:
    """Hold the lock of a database; wait for whoever has it."""
    until = time.monotonic() + _WAIT_SECONDS
    while not _lock(client, database):
        if time.monotonic() > until:
            raise Unavailable(
                f"another `applyrate migrate` works on {database!r}; run it again later",
                retry_after_seconds=_WAIT_SECONDS,
            )
        time.sleep(0.1)
    try:
        yield
    finally:
        client.command(f"DROP TABLE IF EXISTS {database}.migration_lock SYNC")


def _lock(client: Client, database: str) -> bool:
    try:
        client.command(f"CREATE TABLE {database}.migration_lock (held UInt8) ENGINE = Memory")
    except ClickHouseError as error:
        if getattr(error, "code", None) != _TABLE_EXISTS:
            raise
    else:
        return True
    age = client.query(_LOCK_AGE, parameters={"database": database}).result_rows
    if age and age[0][0] > _STALE_SECONDS:
        # Only one of those who see that it is stale can rename it.
        taken = f"{database}.migration_lock_{secrets.token_hex(8)}"
        client.command(f"RENAME TABLE {database}.migration_lock TO {taken}")
        client.command(f"DROP TABLE {taken} SYNC")
    return False


def _apply(cluster: Cluster, host: Host) -> Iterator[str]:
    """Apply to a node what it lacks; the names of it."""
    client = cluster.client(host)
    client.command(_MAKE_TABLE)
    done = {name for (name,) in client.query(_APPLIED).result_rows}
    if unknown := sorted(done - _files().keys()):
        raise WrittenByNewer(
            f"{host} was migrated by a newer version of Applyrate: this one does not know"
            f" {unknown[-1]!r}; install the newer one again"
        )
    for name, script in _files().items():
        if name in done:
            continue
        for statement in _statements(script, cluster):
            client.command(statement)
        client.insert("migration", [[name]], column_names=["name"])
        yield name


def _statements(script: str, cluster: Cluster) -> Iterator[str]:
    """The statements as a node is to read them; a single one lacks what is of a cluster."""
    address = cluster.address
    for statement in _COMMENT.sub("", script).split(";"):
        if not statement.strip() or (not address.cluster and "ENGINE = Distributed" in statement):
            continue
        made = _ENGINE.sub(r"ENGINE = Replicated\1", statement) if address.replicated else statement
        yield made.replace("{cluster}", address.cluster or "")


def _make_secrets(cluster: Cluster) -> None:
    db = cluster.doing("migrate")
    known = {name for (name,) in db.rows("SELECT DISTINCT name FROM secret_all")}
    new = [(name, secrets.token_hex(_SECRET_BYTES)) for name in ("numbers", "cursors")]
    db.insert("secret_all", "name value", [row for row in new if row[0] not in known])


def read_secrets(cluster: Cluster) -> dict[str, bytes]:
    """The store's random bytes by name, the same for every process."""
    rows = cluster.doing("secrets").rows("SELECT name, min(value) FROM secret_all GROUP BY name")
    return {name: bytes.fromhex(value) for name, value in rows}


_NODE_COUNT = "SELECT count() FROM system.clusters WHERE cluster = {cluster:String}"
_FIND_TABLE = (
    "SELECT 1 FROM system.tables WHERE database = {database:String} AND name = 'migration'"
)
_MAKE_TABLE = """
CREATE TABLE IF NOT EXISTS migration (name String, applied_at DateTime DEFAULT now())
ENGINE = MergeTree ORDER BY name
"""
_APPLIED = "SELECT DISTINCT name FROM migration ORDER BY name"
_LOCK_AGE = """
SELECT dateDiff('second', metadata_modification_time, now()) FROM system.tables
WHERE database = {database:String} AND name = 'migration_lock'
"""
