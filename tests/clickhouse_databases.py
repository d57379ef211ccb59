"""Databases on the ClickHouse nodes of the tests, each of one process alone."""

from collections.abc import Sequence
from contextlib import closing
from uuid import uuid4

from applyrate.store.clickhouse.address import parse_address
from applyrate.store.clickhouse.cluster import Cluster
from applyrate.store.clickhouse.migrations import migrate
from applyrate.store.limits import QueryLimits
from tests.clickhouse import CLUSTER, Node


class Databases:
    """Databases of this process alone, on a single node and on the cluster of all."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._made = dict[bool, str]()

    def address(self, name: str, *, sharded: bool) -> str:
        """The address of a database."""
        nodes = self._nodes if sharded else self._nodes[:1]
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
        return f"clickhouse://{hosts}/{name}" + (f"?cluster={CLUSTER}" if sharded else "")

    def empty(self, *, sharded: bool) -> str:
        """The address of a migrated database with nothing in it: the same one each time."""
        if sharded not in self._made:
            name = f"tests_{uuid4().hex}"
            address = self.address(name, sharded=sharded)
            with closing(Cluster(parse_address(address), QueryLimits())) as cluster:
                migrate(cluster)
            self._made[sharded] = name
        name = self._made[sharded]
        for node in self._nodes:
            for table in node.ask(_TABLES.format(name)).split():
                node.ask(f"TRUNCATE TABLE {name}.{table} SYNC")
        return self.address(name, sharded=sharded)

    def new(self, *, sharded: bool) -> str:
        """The address of a database that is not there."""
        return self.address(f"tests_{uuid4().hex}", sharded=sharded)


_TABLES = """
SELECT name FROM system.tables
WHERE database = '{}' AND active_parts > 0 AND name NOT IN ('migration', 'secret')
"""
