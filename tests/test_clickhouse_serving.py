"""Services on one cluster answer as one: the HTTP API on the ClickHouse store."""

from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import pytest

from tests.clickhouse import Node
from tests.clickhouse_databases import Databases
from tests.monitoring import metrics_of
from tests.nodes import wait_until
from tests.servers import Server, running_server

REPLY = {
    "reply_id": "r_1",
    "session_id": "s_1",
    "replied_at": "2026-03-01T10:00:00Z",
    "applied": {"knowledge": ["kb/1 ?"], "action": ["lookup", "lookup"]},
}


@pytest.fixture(scope="module")
def address(clickhouse_nodes: Sequence[Node]) -> str:
    return Databases(clickhouse_nodes).empty(sharded=True)


@pytest.fixture(scope="module")
def services(
    address: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Server]]:
    folder = tmp_path_factory.mktemp("services")
    with (
        running_server(folder / "one", store=address) as one,
        running_server(folder / "other", store=address) as other,
    ):
        yield one, other


def settle(services: Sequence[Server]) -> None:
    """Wait until everything that was acknowledged is in the store."""
    waiting = "applyrate_undelivered_replies"
    wait_until(lambda: all(metrics_of(one.client())[waiting] == 0 for one in services))


def ask(client: httpx.Client, path: str, **query: str) -> Any:
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_reply_that_is_sent_to_two_services_counts_once(
    services: tuple[Server, Server],
) -> None:
    one, other = services
    key = one.new_key(org := one.new_org())
    first, second = one.client(key=key), other.client(org, key=key)
    assert first.post("/replies", json=[REPLY]).json()["accepted"] == 1
    assert second.post("/replies", json=[REPLY]).json()["accepted"] == 1
    settle(services)
    for client in (first, second):
        counts = ask(client, "/resource-usage/action/lookup/usage-summary")
        assert (counts["applied_replies"], counts["applied_sessions"]) == (2, 1)
        (row,) = ask(client, "/resource-usage/knowledge")["items"]
        assert (row["resource_id"], row["available_replies"]) == ("kb/1 ?", 1)
        path = "/resource-usage/action/lookup/conversations"
        assert [row["session_id"] for row in ask(client, path)["items"]] == ["s_1"]


def test_a_cursor_of_one_service_goes_on_at_another(services: tuple[Server, Server]) -> None:
    one, other = services
    key = one.new_key(one.new_org())
    first, second = one.client(key=key), other.client(key=key)
    replies = [REPLY | {"reply_id": f"r_{n}", "session_id": f"s_{n}"} for n in range(5)]
    assert first.post("/replies", json=replies).json()["accepted"] == 5
    settle(services)
    path = "/resource-usage/action/lookup/conversations"
    page = ask(first, path, limit="3")
    rest = ask(second, path, limit="3", cursor=page["next"])
    listed = [row["session_id"] for row in page["items"] + rest["items"]]
    assert listed == [f"s_{n}" for n in range(5)]
    assert rest["next"] is None


def test_what_one_service_erases_another_refuses(services: tuple[Server, Server]) -> None:
    one, other = services
    key = one.new_key(one.new_org())
    first, second = one.client(key=key), other.client(key=key)
    first.post("/replies", json=[REPLY])
    settle(services)
    assert first.delete("/conversations/s_1").status_code == 204
    second.post("/replies", json=[REPLY])
    settle(services)
    (rejected,) = ask(second, "/intake/rejected")["items"]
    assert "was erased" in rejected["message"]
    counts = ask(second, "/resource-usage/action/lookup/usage-summary")
    assert counts["applied_replies"] == 0


def test_services_on_a_cluster_are_ready_and_tell_their_figures(
    services: tuple[Server, Server],
) -> None:
    one, _ = services
    client = one.client()
    assert ask(client, "/health/ready")
    metrics = client.get("/metrics")
    assert metrics.status_code == 200
    assert "applyrate_undelivered_replies " in metrics.text
