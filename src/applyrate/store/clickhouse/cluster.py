"""The cluster: its nodes, and how they are asked, filled and told to delete.

A statement is written for a cluster, where ``NAME_all`` is the way to a table's rows on every
shard. On a single node the table itself has all of its rows, and is named in its place.
"""

import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import clickhouse_connect
from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.driver.binding import format_query_value
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError
from clickhouse_connect.driver.httputil import get_pool_manager

from applyrate.store.clickhouse.address import Address, Host
from applyrate.store.clickhouse.troubles import explain
from applyrate.store.limits import QueryLimits

_PLACE = re.compile(r"\{(\w+):[^{}]+\}")
_EVERYWHERE = re.compile(r"\b([a-z_]+)_all\b")
_CONNECT_SECONDS: Final = 5
_CONNECTIONS: Final = 64
_SERVER_ANSWERS_SECONDS: Final = 600
"""How long an answer is waited for: the server itself ends a query that takes too long."""
_LONGEST_PARAMETER: Final = 40_000
_LONGEST_STATEMENT: Final = 1 << 30

Answer = TypeVar("Answer")
Row = tuple[Any, ...]


class Cluster:
    """The nodes that an address names. Every method may be called from any thread."""

    def __init__(self, address: Address, limits: QueryLimits) -> None:
        self.address = address
        self.limits = limits
        self._pool = get_pool_manager(maxsize=_CONNECTIONS)
        self._lock = threading.Lock()
        self._clients: dict[Host, Client] = {}
        self._types: dict[tuple[str, ...], Sequence[ClickHouseType]] = {}
        self._place = 0

    def doing(self, operation: str) -> "Operation":
        """What is done for a method of the store, under its name."""
        return Operation(self, operation)

    def written(self, statement: str) -> str:
        """A statement as these nodes are to read it."""
        return statement if self.address.cluster else _EVERYWHERE.sub(r"\1", statement)

    def everywhere(self, query: str, table: str) -> str:
        """A query about a table of the system, ``{table}`` in it, of every node."""
        name = self.address.cluster
        return query.replace("{table}", f"clusterAllReplicas('{name}', {table})" if name else table)

    def client(self, host: Host, *, database: str | None = None) -> Client:
        """The client of a node. Raises ClickHouseError where the node does not answer."""
        with self._lock:
            known = self._clients.get(host)
        if known is not None:
            return known
        address = self.address
        client = clickhouse_connect.get_client(
            interface="https" if address.tls else "http",
            host=host.name,
            port=host.port,
            username=address.user,
            password=address.password,
            database=database or address.database,
            autogenerate_session_id=False,
            connect_timeout=_CONNECT_SECONDS,
            send_receive_timeout=_SERVER_ANSWERS_SECONDS,
            pool_mgr=None if address.tls else self._pool,
            client_name="applyrate",
            settings={"log_comment": "connect"},
            tz_source="local",
        )
        if database is None:
            with self._lock:
                self._clients[host] = client
        return client

    def types(self, client: Client, table: str, columns: Sequence[str]) -> Sequence[ClickHouseType]:
        """The types of columns, asked for once."""
        key = (table, *columns)
        types = self._types.get(key)
        if types is None:
            types = client.create_insert_context(table, column_names=columns).column_types
            self._types[key] = types
        return types

    def on_a_node(self, do: Callable[[Client], Answer]) -> Answer:
        """What a node answers: the one that did last, or else the first that can be reached."""
        hosts = self.address.hosts
        start = self._place
        for place in range(start, start + len(hosts)):
            try:
                answer = do(self.client(hosts[place % len(hosts)]))
            except OperationalError as error:
                if error.code is not None or place + 1 == start + len(hosts):
                    raise  # the node answered, or none does
            else:
                self._place = place % len(hosts)
                return answer
        raise AssertionError("an address has a host")

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()
        self._pool.clear()


class Operation:
    """One method of the store at work: its statements carry its name and the limits."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self._cluster = cluster
        self._settings: Mapping[str, object] = {"log_comment": name}

    def rows(self, query: str, values: Mapping[str, object] | None = None) -> Sequence[Row]:
        """What a query answers. Raises Unavailable, also where it is over a limit."""
        limits = self._cluster.limits
        settings = {
            **self._settings,
            "max_execution_time": limits.seconds,
            "max_rows_to_read": limits.rows,
            "max_query_size": _LONGEST_STATEMENT,
        }
        if self._cluster.address.replicated:
            settings["select_sequential_consistency"] = 1
        written, given = _spelled_out(self._cluster.written(query), values or {})

        def ask(client: Client) -> Sequence[Row]:
            answer = client.query(written, parameters=given, settings=settings)
            return [tuple(row) for row in answer.result_rows]

        return self._explained(lambda: self._cluster.on_a_node(ask))

    def insert(self, table: str, columns: str, rows: Iterable[Sequence[object]]) -> None:
        """Add rows to a table, on disk at every shard concerned when this returns."""
        data = list(rows)
        if not data:
            return
        settings = {**self._settings, "distributed_foreground_insert": 1, "async_insert": 0}
        if self._cluster.address.replicated:
            settings["insert_quorum"] = "auto"
        written, names = self._cluster.written(table), columns.split()

        def add(client: Client) -> None:
            types = self._cluster.types(client, written, names)
            client.insert(written, data, names, column_types=types, settings=settings)

        self._explained(lambda: self._cluster.on_a_node(add))

    def delete(self, table: str, condition: str, values: Mapping[str, object]) -> None:
        """Delete rows of a table on every node; they are in no answer when this returns."""
        settings = {**self._settings, "lightweight_deletes_sync": 2}
        self.command(f"DELETE FROM {table} WHERE {condition}", values, settings)

    def command(
        self, statement: str, values: Mapping[str, object], settings: Mapping[str, object]
    ) -> None:
        """Run a statement on every node."""
        for host in self._cluster.address.hosts:
            self._explained(partial(self._run, host, statement, values, settings))

    def _run(
        self,
        host: Host,
        statement: str,
        values: Mapping[str, object],
        settings: Mapping[str, object],
    ) -> None:
        client = self._cluster.client(host)
        written, given = _spelled_out(statement, values)
        settings = {**settings, "max_query_size": _LONGEST_STATEMENT}
        client.command(written, parameters=given, settings=settings)

    def _explained(self, do: Callable[[], Answer]) -> Answer:
        try:
            return do()
        except ClickHouseError as error:
            raise explain(error, self._cluster.limits) from error


def _spelled_out(statement: str, values: Mapping[str, object]) -> tuple[str, dict[str, object]]:
    """A statement with its long lists written into it, and the values that stay parameters.

    A parameter comes as a field of a form, which ClickHouse reads up to 128 KiB of.
    """
    lists = {
        name: str(format_query_value(value))
        for name, value in values.items()
        if isinstance(value, list)
    }
    long = {name: text for name, text in lists.items() if len(text.encode()) > _LONGEST_PARAMETER}
    if not long:
        return statement, dict(values)
    # In one pass: what is written in may look like the place of another value.
    written = _PLACE.sub(lambda place: long.get(place[1], place[0]), statement)
    return written, {name: value for name, value in values.items() if name not in long}
