"""What a ClickHouse store holds beyond the contract: races, merges, limits and migrations."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any
from urllib.parse import urlsplit

import pytest

from applyrate.errors import Unavailable
from applyrate.keys import digest, issue_key
from applyrate.store import Store, open_store
from applyrate.store.clickhouse.address import parse_address
from applyrate.store.clickhouse.claims import Claim, claim_replies
from applyrate.store.clickhouse.cluster import Cluster
from applyrate.store.clickhouse.keys import KNOWN_SECONDS
from applyrate.store.clickhouse.migrations import NotMigrated, migrate, read_secrets
from applyrate.store.clickhouse.rows import Numbers
from applyrate.store.limits import QueryLimits
from applyrate.store.sqlite.migrations import WrittenByNewer
from applyrate.usage import (
    Applied,
    Available,
    ConversationFacts,
    Recording,
    Reply,
    ResourceType,
    UsageKind,
    Window,
)
from tests.clickhouse import Node
from tests.clickhouse_databases import Databases
from tests.contract.oracle import Oracle

DAY = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="session")
def databases(clickhouse_nodes: Sequence[Node]) -> Databases:
    return Databases(clickhouse_nodes)


@pytest.fixture
def address(databases: Databases) -> str:
    return databases.empty(sharded=True)


@pytest.fixture
def store(address: str, tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(tmp_path, address=address)) as store:
        yield store


def database_of(address: str) -> str:
    return urlsplit(address).path[1:]


def replies(count: int) -> list[Reply]:
    return [
        Reply(
            f"r_{number}",
            f"s_{number % 7}",
            DAY + number * HOUR,
            available=Available(knowledge=["kb_1", f"kb_{number % 3}"]),
            applied=Applied(knowledge=["kb_1"] * (number % 2), action=["lookup"] * (number % 3)),
            ticket_number=number,
            last_message=f"Message {number}",
        )
        for number in range(count)
    ]


def answers(store: Store) -> list[Any]:
    """All that is to be known of the organization."""
    told: list[Any] = [list(store.usages("acme", Window())), list(store.check())]
    told += [store.conversation("acme", f"s_{number}") for number in range(7)]
    bounds = [DAY + 9 * number * HOUR for number in range(6)]
    for of in ResourceType:
        told += [
            store.resources("acme", of, Window(), limit=9),
            store.type_timeline("acme", of, bounds),
            store.type_totals("acme", of, Window(DAY + HOUR)),
            store.unused("acme", of, Window(DAY + 9 * HOUR), limit=9),
        ]
        for name in ("lookup", "kb_0", "kb_1", "kb_2"):
            told += [
                store.summary("acme", of, name, Window(DAY + HOUR, DAY + 20 * HOUR)),
                store.timeline("acme", of, name, bounds),
                store.outcomes("acme", of, name, Window()),
                *(
                    store.conversations("acme", of, name, Window(), kind=kind, limit=9)
                    for kind in UsageKind
                ),
            ]
    return told


def test_duplicates_are_counted_once_whether_or_not_they_were_merged_away(
    store: Store, address: str, clickhouse_nodes: Sequence[Node]
) -> None:
    database = database_of(address)
    tables = ["usage", "reply", "claim", "fact", "tombstone"]

    def tell(statement: str) -> None:
        for node in clickhouse_nodes:
            for table in tables:
                node.ask(statement.format(f"{database}.{table}"))

    tell("SYSTEM STOP MERGES {}")
    try:
        batch = replies(40)
        for part in (batch[:15], batch[10:], batch[::3]):
            store.record([Recording("acme", part)])
        ended = ConversationFacts(status="resolved", csat=4, handed_off_at=DAY)
        store.set_conversations("acme", {"s_1": ended, "s_2": ended})
        told = answers(store)
        oracle = Oracle()
        oracle.record(Recording("acme", batch))
        for session_id in ("s_1", "s_2"):
            oracle.set_conversation("acme", session_id, ended)
        of = ("acme", ResourceType.KNOWLEDGE)
        assert store.resources(*of, Window(), limit=9).items == oracle.resources(*of, Window())
        tell("INSERT INTO {0} SELECT * FROM {0}")
        tell("INSERT INTO {0} SELECT * FROM {0}")
        assert answers(store) == told
    finally:
        tell("SYSTEM START MERGES {}")
    count = f"SELECT count() FROM {database}.usage"
    before = [int(node.ask(count)) for node in clickhouse_nodes]
    tell("OPTIMIZE TABLE {} FINAL")
    after = [int(node.ask(count)) for node in clickhouse_nodes]
    assert [3 * few for few in after] == before
    assert all(after)  # both shards have some
    assert answers(store) == told


def test_of_two_that_claim_a_reply_at_one_moment_one_is_counted_everywhere(
    address: str, tmp_path: Path
) -> None:
    count = 4
    with ExitStack() as stack:
        stores = [
            stack.enter_context(closing(open_store(tmp_path, address=address)))
            for _ in range(count)
        ]
        together = Barrier(count)

        def record(place: int) -> None:
            used = Applied(action=["lookup"])
            batch = [Reply(f"r_{n}", f"s_{place}", DAY + n * HOUR, applied=used) for n in range(20)]
            together.wait()
            stores[place].record([Recording("acme", batch)])

        with ThreadPoolExecutor(count) as threads:
            list(threads.map(record, range(count)))
        fixed = stores[0].replies("acme", [f"r_{n}" for n in range(20)])
        summary = stores[1].summary("acme", ResourceType.ACTION, "lookup", Window())
        assert summary.applied_replies == len(fixed) == 20
        assert summary.applied_sessions == len({reply.session_id for reply in fixed.values()})
        usages = list(stores[2].usages("acme", Window()))
        assert [(row.reply_id, row.session_id) for row in usages] == [
            (f"r_{n}", fixed[f"r_{n}"].session_id) for n in range(20)
        ]
        assert list(stores[3].check()) == []


def test_usages_of_a_claim_that_lost_are_not_counted_though_they_come_last(
    store: Store, address: str
) -> None:
    """Whoever recorded for ``s_2`` claimed first, and was held up until ``s_1`` was recorded."""
    with closing(Cluster(parse_address(address), QueryLimits())) as cluster:
        db = cluster.doing("test")
        numbers = Numbers(read_secrets(cluster)["numbers"])
        used = Applied(action=["lookup"])
        store.record([Recording("acme", [Reply("r_1", "s_1", DAY, applied=used)])])
        columns = "org reply_id claimed_at session_id replied_at reply"
        reply = numbers.reply("r_1")
        at = int(DAY.timestamp() * 1_000_000)
        db.insert("claim_all", columns, [("acme", "r_1", 1, "s_2", at, reply)])
        assert claim_replies(db, numbers, "acme", {"r_1": Claim("s_2", at)})["r_1"].claimed_at == 1
    (receipt,) = store.record([Recording("acme", [Reply("r_1", "s_2", DAY, applied=used)])])
    assert (receipt.accepted, receipt.refused) == (1, [])
    (again,) = store.record([Recording("acme", [Reply("r_1", "s_1", DAY, applied=used)])])
    assert "'s_2'" in again.refused[0].message
    assert store.summary("acme", ResourceType.ACTION, "lookup", Window()).applied_replies == 1
    (row,) = store.conversations("acme", ResourceType.ACTION, "lookup", Window(), limit=5).items
    assert row.session_id == "s_2"


def test_what_one_node_records_another_answers(address: str, tmp_path: Path) -> None:
    one, other = (
        address.replace(hosts, first) if (hosts := urlsplit(address).netloc) else ""
        for first in _each_first(address)
    )
    with (
        closing(open_store(tmp_path, address=one)) as first,
        closing(open_store(tmp_path, address=other)) as second,
    ):
        for number in range(12):
            writer, reader = (first, second) if number % 2 else (second, first)
            used = Applied(action=["lookup"])
            reply = Reply(f"r_{number}", f"s_{number}", DAY, applied=used)
            version = reader.changes("acme").version
            writer.record([Recording("acme", [reply])])
            writer.set_conversations("acme", {"s_0": ConversationFacts(ticket_number=number)})
            summary = reader.summary("acme", ResourceType.ACTION, "lookup", Window())
            assert summary.applied_sessions == number + 1
            assert reader.changes("acme", version).resources == [(ResourceType.ACTION, "lookup")]
            known = reader.conversation("acme", "s_0")
            assert known is not None
            assert known.ticket_number == number


def _each_first(address: str) -> list[str]:
    hosts = urlsplit(address).netloc.split(",")
    return [",".join([host, *(other for other in hosts if other != host)]) for host in hosts]


def test_a_node_that_is_away_is_passed_over_where_another_can_answer(
    address: str, tmp_path: Path
) -> None:
    hosts = urlsplit(address).netloc
    with closing(open_store(tmp_path, address=address.replace(hosts, f"127.0.0.1:1,{hosts}"))) as s:
        s.record([Recording("acme", replies(3))])
        assert len(s.replies("acme", ["r_0", "r_1"])) == 2
    away = address.replace(hosts, "127.0.0.1:1")
    with pytest.raises(Unavailable, match="ClickHouse cannot do it now"):
        open_store(tmp_path, address=away)


def test_a_query_over_a_limit_is_503_and_names_the_limit(
    store: Store, address: str, tmp_path: Path
) -> None:
    batch = [
        Reply(f"r_{number}", "s_1", DAY, available=Available(knowledge=["kb_1"]))
        for number in range(5_000)
    ]
    store.record([Recording("acme", batch)])
    few = QueryLimits(rows=2_000)
    with closing(open_store(tmp_path, address=address, limits=few)) as limited:
        with pytest.raises(Unavailable, match="APPLYRATE_MAX_QUERY_ROWS") as refused:
            limited.summary("acme", ResourceType.KNOWLEDGE, "kb_1", Window())
        assert (refused.value.status, refused.value.limit) == (503, "max_query_rows")
    with closing(Cluster(parse_address(address), QueryLimits(seconds=0.2))) as cluster:
        slow = "SELECT sum(sleepEachRow(0.02)) FROM numbers(500) SETTINGS max_block_size = 1"
        with pytest.raises(Unavailable, match="APPLYRATE_MAX_QUERY_SECONDS") as refused:
            cluster.doing("slow").rows(slow)
        assert (refused.value.status, refused.value.limit) == (503, "max_query_seconds")


def test_every_query_tells_the_log_of_the_node_what_it_is_for(
    store: Store, address: str, clickhouse_nodes: Sequence[Node]
) -> None:
    store.record([Recording("acme", replies(20))])
    store.erase("acme", ["s_1"])
    store.summary("acme", ResourceType.KNOWLEDGE, "kb_1", Window())
    # What the driver itself asks when it connects.
    connecting = "query LIKE 'SELECT 1 AS check%' OR query LIKE 'SELECT name, value, readonly%'"
    for node in clickhouse_nodes:
        node.ask("SYSTEM FLUSH LOGS")
        told = node.ask(
            "SELECT DISTINCT log_comment FROM system.query_log WHERE type = 'QueryFinish'"
            f" AND NOT ({connecting})"
            f" AND (current_database = '{database_of(address)}'"
            f"   OR has(databases, '{database_of(address)}'))"
        ).splitlines()
        assert {"record", "erase", "summary"} <= set(told)
        assert "" not in told


def applyrate(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "applyrate", *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_migrations_are_applied_once_though_several_processes_race(
    databases: Databases, clickhouse_nodes: Sequence[Node]
) -> None:
    address = databases.new(sharded=True)
    racing = [applyrate("migrate", APPLYRATE_STORE=address) for _ in range(3)]
    told = [process.communicate(timeout=120) for process in racing]
    assert [process.returncode for process in racing] == [0, 0, 0], told
    assert "Applied 0001_usage.sql.\n" in [out for out, _ in told]
    assert "".join(out for out, _ in told).count("Applied") == 1
    database = database_of(address)
    for node in clickhouse_nodes:
        assert node.ask(f"SELECT name FROM {database}.migration") == "0001_usage.sql\n"
        assert node.ask(f"EXISTS TABLE {database}.migration_lock") == "0\n"
    secrets = f"SELECT count() FROM {database}.secret_all"
    assert clickhouse_nodes[0].ask(secrets) == "2\n"


def test_migrating_needs_a_store_that_is_an_address() -> None:
    for store, sentence in [("", "name a cluster with --store"), ("sqlite://x", "begins with")]:
        given = ("--store", store) if store else ()
        migrating = applyrate("migrate", *given)
        _, error = migrating.communicate(timeout=120)
        assert migrating.returncode == 2
        assert sentence in error.replace("\n", " ")


def test_serving_needs_the_tables_of_this_version(
    databases: Databases, clickhouse_nodes: Sequence[Node], tmp_path: Path
) -> None:
    address = databases.new(sharded=False)
    database = database_of(address)
    clickhouse_nodes[0].ask(f"CREATE DATABASE {database}")
    with pytest.raises(NotMigrated, match=r"lacks '0001_usage\.sql'.*applyrate migrate"):
        open_store(tmp_path, address=address)
    with closing(Cluster(parse_address(address), QueryLimits())) as cluster:
        assert migrate(cluster) == ["0001_usage.sql"]
        assert migrate(cluster) == []
        with closing(open_store(tmp_path, address=address)) as store:
            assert store.foreign_migrations() == []
            clickhouse_nodes[0].ask(
                f"INSERT INTO {database}.migration (name) VALUES ('0099_x.sql')"
            )
            assert store.foreign_migrations() == ["0099_x.sql"]
        with pytest.raises(WrittenByNewer, match=r"0099_x\.sql"):
            migrate(cluster)
    serving = applyrate("serve", "--data", str(tmp_path), "--store", address, "--port", "0")
    out, error = serving.communicate(timeout=120)
    assert serving.returncode == 1, out
    assert "was written by a newer version of Applyrate" in error.replace("\n", " ")


def test_an_address_names_every_node_of_the_cluster(
    databases: Databases, clickhouse_nodes: Sequence[Node]
) -> None:
    address = databases.new(sharded=True)
    hosts = urlsplit(address).netloc
    one = address.replace(hosts, hosts.split(",")[0])
    for wrong, sentence in [
        (one, "names 1 hosts, and the cluster 'two_shards' has 2 nodes"),
        (address.replace("two_shards", "three"), "knows no cluster 'three'"),
    ]:
        with (
            closing(Cluster(parse_address(wrong), QueryLimits())) as cluster,
            pytest.raises(NotMigrated, match=sentence),
        ):
            migrate(cluster)
    assert database_of(address) not in clickhouse_nodes[0].ask("SHOW DATABASES")


def test_a_revoked_key_stops_working_on_every_node(
    store: Store, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, kept = issue_key("acme", "first", scopes=None, created_at=DAY)
    with closing(open_store(tmp_path, address=address)) as other:
        store.add_key(kept, digest(key))
        assert store.find_key(digest(key)) == other.find_key(digest(key)) == kept
        other.mark_keys_used({kept.key_id: DAY + HOUR, "unknown": DAY})
        store.revoke_key("acme", kept.key_id, DAY + 2 * HOUR)
        again = store.revoke_key("acme", kept.key_id, DAY + HOUR)
        assert again is not None
        assert (again.revoked_at, again.last_used_at) == (DAY + 2 * HOUR, DAY + HOUR)
        assert store.find_key(digest(key)) == again
        assert store.revoke_key("globex", kept.key_id, DAY) is None
        assert KNOWN_SECONDS < 10
        later = time.monotonic() + KNOWN_SECONDS
        monkeypatch.setattr("applyrate.store.clickhouse.keys.time.monotonic", lambda: later)
        assert other.find_key(digest(key)) == again
        assert [one.key_id for one in other.keys("acme")] == [kept.key_id]
        assert "acme" in other.organizations()


def test_a_session_is_ended_by_no_more_than_one(address: str, tmp_path: Path, store: Store) -> None:
    key, kept = issue_key("acme", "first", scopes=None, created_at=DAY)
    store.add_key(kept, digest(key))
    count = 4
    with ExitStack() as stack:
        stores = [
            stack.enter_context(closing(open_store(tmp_path, address=address)))
            for _ in range(count)
        ]
        store.add_session(b"token", kept.key_id, DAY, DAY + HOUR)
        found = stores[0].find_session(b"token", DAY)
        assert found is not None
        assert found.key_id == kept.key_id
        assert stores[0].find_session(b"token", DAY + HOUR) is None
        with ThreadPoolExecutor(count) as threads:
            ended = list(threads.map(lambda each: each.end_session(b"token"), stores))
        assert sum(ended) <= 1
        assert stores[1].find_session(b"token", DAY) is None
        store.add_session(b"other", kept.key_id, DAY, DAY + HOUR)
        assert [each.end_session(b"other") for each in stores] == [True, False, False, False]
        assert store.end_session(b"unknown") is False


def test_nothing_of_what_was_erased_is_in_the_files_once_they_were_scrubbed(
    store: Store, address: str, clickhouse_nodes: Sequence[Node]
) -> None:
    batch = [Reply("r_1", "s_secret", DAY, last_message="A word that goes."), *replies(5)]
    store.record([Recording("acme", batch)])
    store.erase("acme", ["s_secret"])
    store.finish_erasures([one.erasure_id for one in store.unfinished_erasures()])
    assert store.needs_scrub()
    assert store.scrub()
    assert not store.needs_scrub()
    (refused,) = store.record([Recording("acme", batch)])[0].refused
    assert refused.is_gone
    for node in clickhouse_nodes:
        for table in ["usage", "reply", "claim", "fact", "unfinished_erasure", "audit"]:
            told = node.ask(
                f"SELECT * FROM {database_of(address)}.{table} SETTINGS apply_deleted_mask = 0"
            )
            assert "s_secret" not in told
            assert "A word that goes." not in told


def test_what_is_erased_while_it_is_recorded_is_gone(address: str, tmp_path: Path) -> None:
    with (
        closing(open_store(tmp_path, address=address)) as one,
        closing(open_store(tmp_path, address=address)) as other,
        ThreadPoolExecutor(2) as threads,
    ):
        together = Barrier(2)
        used = Applied(action=["lookup"])

        def record(number: int) -> None:
            together.wait()
            one.record(
                [Recording("acme", [Reply(f"r_{number}", f"s_{number}", DAY, applied=used)])]
            )

        def erase(number: int) -> None:
            together.wait()
            other.erase("acme", [f"s_{number}"])

        for number in range(8):
            list(threads.map(lambda do: do(), (partial(record, number), partial(erase, number))))
        assert one.summary("acme", ResourceType.ACTION, "lookup", Window()).applied_replies == 0
        assert list(other.check()) == []


def test_a_batch_of_long_ids_is_recorded_and_known_again(store: Store) -> None:
    batch = [
        Reply(
            f"r_{number}_{{org:String}}" + "'\\🙂" * 40,
            f"s_{number % 500}_" + "\n" * 90,
            DAY,
            available=Available(knowledge=[f"kb_{number}" + "x" * 200]),
        )
        for number in range(1_500)
    ]
    for accepted in (1_500, 0):
        (receipt,) = store.record([Recording("acme", batch)])
        assert (receipt.accepted, receipt.duplicates) == (accepted, 1_500 - accepted)
    erased = store.erase("acme", [reply.session_id for reply in batch[:400]])
    assert (erased.session_count, erased.reply_count) == (400, 1_200)
    assert store.type_totals("acme", ResourceType.KNOWLEDGE, Window()).session_count == 100
