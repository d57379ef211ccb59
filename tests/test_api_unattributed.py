"""``GET /intake/unattributed``: what came and gave no reply, and what could help."""

from collections.abc import Iterator

import pytest

from tests.exporting import AGENT, CONVERSATION, executed, export, sent, settle, trace_id
from tests.servers import Server, running_server


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that waits for nothing."""
    with running_server(
        tmp_path_factory.mktemp("unattributed") / "data", trace_quiet_seconds=0
    ) as server:
        yield server


def test_an_organization_without_such_traces_is_told_so(service: Server) -> None:
    assert settle(service.client()) == {
        "items": [],
        "mapped_attributes": [],
        "waiting_count": 0,
        "excluded_count": 0,
    }


def test_traces_without_a_conversation_are_listed_by_service(service: Server) -> None:
    client = service.client()
    for number in range(1, 4):
        chat = {**AGENT, "app.chat": f"c_{number}", "app.region": "eu"}
        export(
            client,
            sent("a", None, chat, trace=number, at=(number, number + 10)),
            executed("t", "a", "look", trace=number),
            service="shop",
        )
    export(client, sent("a", None, AGENT, trace=9), service="desk")
    shop, desk = settle(client)["items"]
    candidates = {row["name"]: row for row in shop.pop("attributes")}
    assert shop == {
        "service": "shop",
        "trace_count": 3,
        "first_at": "2026-03-01T10:00:00Z",
        "last_at": "2026-03-01T10:00:13Z",
        "missing": ["conversation"],
        "problem": None,
        "dialects": ["genai"],
        "newest_trace_id": trace_id(3),
    }
    assert next(iter(candidates)) == "app.chat"
    assert candidates["app.chat"] == {
        "name": "app.chat",
        "trace_count": 3,
        "examples": ["c_3", "c_2", "c_1"],
    }
    assert candidates["app.region"]["examples"] == ["eu"]
    assert (desk["service"], desk["trace_count"]) == ("desk", 1)


def test_what_only_sets_an_agent_up_has_no_reply_either(service: Server) -> None:
    client = service.client()
    export(client, sent("c", None, {"gen_ai.operation.name": "create_agent"}))
    export(
        client, sent("c", None, {"gen_ai.operation.name": "create_agent", **CONVERSATION}, trace=2)
    )
    rows = settle(client)["items"]
    assert [row["missing"] for row in rows] == [["conversation", "reply"], ["reply"]]


def test_a_late_conversation_takes_a_trace_from_the_list(service: Server) -> None:
    client = service.client()
    export(client, sent("a", None, AGENT), executed("t", "a", "look"))
    assert len(settle(client)["items"]) == 1
    export(client, sent("late", "a", CONVERSATION))
    assert settle(client)["items"] == []
    summary = client.get("/resource-usage/action/look/usage-summary").json()
    assert summary["applied_replies"] == 1


def test_no_organization_sees_the_traces_of_another(service: Server) -> None:
    client, other = service.client(), service.client()
    export(client, sent("a", None, AGENT))
    assert len(settle(client)["items"]) == 1
    assert settle(other)["items"] == []


def test_the_list_needs_the_scope_to_read_conversations(service: Server) -> None:
    org = service.new_org()
    assert service.client(org, ["usage:write"]).get("/intake/unattributed").status_code == 403
    allowed = service.client(org, ["chat-sessions:read"])
    assert allowed.get("/intake/unattributed").status_code == 200
