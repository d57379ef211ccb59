"""Traces: what arrives at a running service is recorded, whatever happens in between."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from applyrate.errors import Unavailable
from applyrate.intake import inbox as inboxes
from applyrate.intake import traces as intake_traces
from applyrate.intake.conventions import observe
from applyrate.intake.group_commit import GroupCommit
from applyrate.intake.inbox import FILE, Inbox
from applyrate.intake.spans import Span, ToolCall
from applyrate.intake.traces import Traces
from applyrate.settings import Settings
from applyrate.store.sqlite import SQLiteStore
from applyrate.usage import Receipt, Recording, ResourceType, Window
from tests.exporting import (
    AGENT,
    CONVERSATION,
    executed,
    export,
    retrieved,
    sent,
    settle,
    trace_id,
)
from tests.observed import agent, observed, span_id
from tests.observed import executed as observed_execution
from tests.servers import Server, end_process, running_server, start_process

CLIENTS = 4


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that waits for nothing, and excludes what an evaluation sends."""
    with running_server(
        tmp_path_factory.mktemp("quick") / "data",
        trace_quiet_seconds=0,
        exclude_attributes="env=eval,is_test",
    ) as server:
        yield server


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that waits for an hour where a trace is not complete."""
    with running_server(
        tmp_path_factory.mktemp("patient") / "data", trace_quiet_seconds=3600
    ) as server:
        yield server


def usage(client: httpx.Client, kind: str, resource_id: str) -> dict[str, Any]:
    path = f"/resource-usage/{kind}/{resource_id}/usage-summary"
    answered: dict[str, Any] = client.get(path).raise_for_status().json()
    return answered


def counted(client: httpx.Client, action: str) -> int:
    return int(usage(client, "action", action)["applied_replies"])


def test_a_complete_trace_is_recorded_without_waiting(patient: Server) -> None:
    client = patient.client()
    agents = sent("a", None, {**AGENT, **CONVERSATION}, at=(0, 7))
    export(client, executed("t", "a", "look"), agents).raise_for_status()
    settle(client)
    look = usage(client, "action", "look")
    assert (look["applied_replies"], look["applied_sessions"]) == (1, 1)
    assert look["last_used_at"] == "2026-03-01T10:00:07Z"


def test_a_trace_that_is_not_complete_waits_for_the_rest(patient: Server) -> None:
    client = patient.client()
    export(client, executed("t", "m", "look"), sent("a", None, {**AGENT, **CONVERSATION}))
    time.sleep(2 * intake_traces.POLL_SECONDS)
    assert client.get("/intake/unattributed").json()["waiting_count"] == 1
    assert counted(client, "look") == 0
    export(client, sent("m", "a"))
    settle(client)
    assert counted(client, "look") == 1


def test_a_trace_whose_root_never_comes_is_recorded_after_the_quiet_time(quick: Server) -> None:
    client = quick.client()
    export(client, executed("t", "lost", "look"), sent("m", "lost", CONVERSATION, at=(0, 4)))
    settle(client)
    assert usage(client, "action", "look")["last_used_at"] == "2026-03-01T10:00:10Z"


def test_a_late_span_adds_to_its_reply_and_moves_it_nowhere(patient: Server) -> None:
    client = patient.client()
    export(client, sent("a", None, {**AGENT, **CONVERSATION}, at=(1, 5)))
    settle(client)
    late = {"gen_ai.conversation.id": "another"}
    export(
        client, sent("http", None, late), retrieved("r", "a", "kb_1"), executed("t", "a", "look")
    )
    settle(client)
    (row,) = client.get("/resource-usage/action/look/conversations").json()["items"]
    assert (row["session_id"], row["last_used_at"]) == ("conv", "2026-03-01T10:00:05Z")
    assert usage(client, "knowledge", "kb_1")["available_replies"] == 1


def test_two_agents_in_one_trace_give_two_replies(patient: Server) -> None:
    client = patient.client()
    export(
        client,
        sent("http"),
        sent("a", "http", {**AGENT, **CONVERSATION}, at=(0, 3)),
        sent("b", "http", {**AGENT, **CONVERSATION}, at=(4, 6)),
        executed("t", "a", "look"),
        executed("u", "b", "look"),
    )
    settle(client)
    (row,) = client.get("/resource-usage/action/look/conversations").json()["items"]
    assert (row["reply_count"], row["session_id"]) == (2, "conv")


def test_an_action_that_hands_off_marks_the_conversation(patient: Server) -> None:
    client = patient.client()
    for number, action in enumerate(("look", "escalate_to_human"), 1):
        named = {"gen_ai.conversation.id": f"conv_{number}"}
        export(
            client,
            sent("a", None, {**AGENT, **named}, trace=number),
            executed("t", "a", action, trace=number),
        )
    settle(client)
    rows = client.get("/resource-usage/action").json()["items"]
    assert {row["resource_id"]: row["handoff_count"] for row in rows} == {
        "look": 0,
        "escalate_to_human": 1,
    }


def test_excluded_traffic_is_counted_as_that_and_as_nothing_else(quick: Server) -> None:
    client = quick.client()
    spans = [sent("a", None, {**AGENT, **CONVERSATION}), executed("t", "a", "look")]
    for _ in range(2):
        export(client, *spans, env="eval")
        assert settle(client)["excluded_count"] == 1
    export(client, *spans)  # late ones of the same trace
    tagged = sent("a", None, {**AGENT, **CONVERSATION, "is_test": "yes"}, trace=2)
    export(client, tagged, executed("t", "a", "look", trace=2), env="production")
    told = settle(client)
    assert (told["excluded_count"], told["items"]) == (2, [])
    assert counted(client, "look") == 0


def test_spans_that_no_agent_made_leave_nothing_behind(quick: Server) -> None:
    client = quick.client()
    export(client, sent("GET /", None, {"http.request.method": "GET", **CONVERSATION}))
    told = settle(client)
    assert told == {
        "items": [],
        "mapped_attributes": [],
        "waiting_count": 0,
        "excluded_count": 0,
    }
    for kind in ResourceType:
        assert client.get(f"/resource-usage/{kind}").json()["items"] == []


def test_instructions_keep_their_text_as_a_name(patient: Server) -> None:
    client = patient.client()
    told = '[{"type": "text", "content": "# Tone of voice\\nBe kind."}]'
    export(client, sent("a", None, {**AGENT, **CONVERSATION, "gen_ai.system_instructions": told}))
    settle(client)
    (row,) = client.get("/resource-usage/instruction").json()["items"]
    assert (row["resource_id"], row["name"]) == ("tone-of-voice", "Tone of voice")


def test_a_reply_that_was_recorded_otherwise_gives_its_trace_the_conversation(
    patient: Server,
) -> None:
    client = patient.client()
    reply = {"reply_id": trace_id(1), "session_id": "known", "replied_at": "2026-03-01T09:00:00Z"}
    client.post("/replies", json=reply).raise_for_status()
    export(client, sent("a", None, AGENT), executed("t", "a", "look"))
    assert settle(client)["items"] == []
    (row,) = client.get("/resource-usage/action/look/conversations").json()["items"]
    assert (row["session_id"], row["last_used_at"]) == ("known", "2026-03-01T09:00:00Z")


def test_a_full_inbox_asks_to_come_back_and_takes_nothing(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", inbox_max_spans=3, trace_quiet_seconds=3600) as server:
        client = server.client()
        assert export(client, *(sent(f"s{n}", "lost") for n in range(3))).status_code == 200
        refused = export(client, sent("more", "lost"))
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
        assert "inbox is full" in refused.json()["message"]


def test_a_service_that_was_killed_derives_what_it_had_acknowledged(tmp_path: Path) -> None:
    data = tmp_path / "data"
    process, url = start_process(data, trace_quiet_seconds=3600)
    server = Server(process, url, data)
    client = server.client("acme")
    spans = [sent("m", "lost", CONVERSATION), executed("t", "m", "look")]
    assert export(client, *spans).status_code == 200
    process.kill()
    end_process(process)
    server.close()
    with running_server(data, trace_quiet_seconds=0) as server:
        client = server.client("acme")
        settle(client)
        assert counted(client, "look") == 1


def test_no_acknowledged_trace_is_lost_when_a_service_is_killed_at_work(tmp_path: Path) -> None:
    data = tmp_path / "data"
    acknowledged: list[list[str]] = [[] for _ in range(CLIENTS)]
    process, url = start_process(data, trace_quiet_seconds=0)
    server = Server(process, url, data)
    key = server.new_key("acme")
    threads = [
        threading.Thread(target=export_until_killed, args=(url, key, number, known))
        for number, known in enumerate(acknowledged)
    ]
    for thread in threads:
        thread.start()
    time.sleep(1)
    process.kill()
    for thread in threads:
        thread.join()
    end_process(process)
    server.close()
    with running_server(data, trace_quiet_seconds=0) as server:
        settle(server.client("acme"))
        rows = server.store.resources("acme", ResourceType.ACTION, Window(), limit=100_000).items
        counts = {row.resource_id: row.applied_replies for row in rows}
        assert list(server.store.check()) == []
    assert all(acknowledged)
    assert {counts.get(action) for known in acknowledged for action in known} == {1}


def export_until_killed(url: str, key: str, number: int, acknowledged: list[str]) -> None:
    """Export trace after trace, each with an action of its own, its root in a later request."""
    headers = {"Authorization": f"Bearer {key}"}
    with (
        contextlib.suppress(httpx.TransportError),
        httpx.Client(base_url=url, headers=headers, timeout=30) as client,
    ):
        for batch in range(10_000):
            action, trace = f"act_{number}_{batch}", 1 + batch * CLIENTS + number
            root = sent("a", None, {**AGENT, **CONVERSATION}, trace=trace)
            export(client, executed("t", "a", action, trace=trace)).raise_for_status()
            export(client, root).raise_for_status()
            acknowledged.append(action)


def test_two_services_on_one_folder_count_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with (
        running_server(data, trace_quiet_seconds=0) as one,
        running_server(data, trace_quiet_seconds=0) as other,
    ):
        clients = one.client("acme"), other.client("acme")
        for number in range(1, 11):
            for client in clients:
                export(client, executed("t", "a", "look", trace=number))
                export(client, sent("a", None, {**AGENT, **CONVERSATION}, trace=number))
        for client in clients:
            settle(client)
            assert counted(client, "look") == 10
        assert list(one.store.check()) == []


class TroubledStore(SQLiteStore):
    """The real store, which may be told to fail."""

    before_record: Callable[[Sequence[Recording]], None] = staticmethod(lambda _: None)

    def record(self, recordings: Sequence[Recording]) -> list[Receipt]:
        self.before_record(recordings)
        return super().record(recordings)


@pytest.fixture
def troubled(tmp_path: Path) -> Iterator[TroubledStore]:
    store = TroubledStore(tmp_path / "applyrate.db")
    yield store
    store.close()


def play(store: TroubledStore, folder: Path, scene: Callable[[Traces], Awaitable[None]]) -> None:
    """A scene with traces on this store, that are derived once they are asked to."""

    async def run() -> None:
        commits = GroupCommit(store)
        traces = Traces(Settings(data=str(folder), trace_quiet_seconds=0), store, commits)
        try:
            await scene(traces)
        finally:
            await traces.close()
            await commits.close()

    asyncio.run(run())


async def run_until(traces: Traces, is_done: Callable[[], bool]) -> None:
    """Let the traces be derived in the background until something is so."""
    running = asyncio.create_task(traces.run())
    for _ in range(1_000):
        if is_done():
            break
        await asyncio.sleep(0.01)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert is_done()


def invocations(store: TroubledStore, org: str = "acme") -> int:
    return store.summary(org, ResourceType.ACTION, "look", Window()).applied_replies


def test_a_trace_that_cannot_be_recorded_is_set_aside_and_stops_no_other(
    troubled: TroubledStore, tmp_path: Path
) -> None:
    def fail(recordings: Sequence[Recording]) -> None:
        if any(reply.reply_id == trace_id(2) for one in recordings for reply in one.replies):
            raise ValueError("poison")

    async def scene(traces: Traces) -> None:
        troubled.before_record = fail
        for number in range(1, 4):
            call = observed("t", "a", executed=ToolCall("look"), trace_id=trace_id(number))
            await traces.accept("acme", [agent("a", trace_id=trace_id(number)), call])
        while await traces.derive_due():
            pass
        (row,) = (await traces.unattributed("acme")).items
        assert (row.newest_trace_id, row.missing) == (trace_id(2), [])
        assert "poison" in (row.problem or "")
        assert invocations(troubled) == 2
        troubled.before_record = lambda _: None
        await traces.accept("acme", [observed("late", "a", trace_id=trace_id(2))])
        while await traces.derive_due():
            pass
        assert (await traces.unattributed("acme")).items == []
        assert invocations(troubled) == 3

    play(troubled, tmp_path, scene)


def test_a_trace_that_cannot_be_assembled_is_set_aside_alone(
    troubled: TroubledStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(traces: Traces) -> None:
        monkeypatch.setattr(inboxes, "MAX_TRACE_SPANS", 3)
        spans = [observed_execution(f"t{n}", "a", "look") for n in range(3)]
        await traces.accept("acme", [agent("a"), *spans])
        fine = [agent("a", trace_id=trace_id(2)), observed("t", "a", trace_id=trace_id(2))]
        await traces.accept("acme", fine)
        while await traces.derive_due():
            pass
        (row,) = (await traces.unattributed("acme")).items
        assert "more than" in (row.problem or "")
        assert troubled.replies("acme", [trace_id(2)])

    play(troubled, tmp_path, scene)


def test_a_store_that_cannot_write_is_asked_again(
    troubled: TroubledStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = 2

    def fail(_: Sequence[Recording]) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise Unavailable("its disk is full", retry_after_seconds=1)

    async def scene(traces: Traces) -> None:
        monkeypatch.setattr(intake_traces, "POLL_SECONDS", 0.01)
        troubled.before_record = fail
        await traces.accept("acme", [agent("a"), observed_execution("t", "a", "look")])
        await run_until(traces, lambda: invocations(troubled) == 1)

    play(troubled, tmp_path, scene)
    assert not failures


def test_an_attribute_that_another_process_maps_is_read_from_then_on(
    troubled: TroubledStore, tmp_path: Path
) -> None:
    span = Span(trace_id(1), span_id("a"), None, "a", 0, 1, {**AGENT, "app.chat": "c_7"})

    async def scene(traces: Traces) -> None:
        assert observe(span, traces.rules("acme")).evidence.conversation == {}
        other = Inbox(tmp_path / FILE, max_spans=9)
        other.map_attribute("acme", "app.chat")
        other.close()
        await run_until(
            traces, lambda: bool(observe(span, traces.rules("acme")).evidence.conversation)
        )
        assert observe(span, traces.rules("acme")).evidence.conversation == {"app.chat": "c_7"}
        assert observe(span, traces.rules("other")).evidence.conversation == {}

    play(troubled, tmp_path, scene)


def test_a_handoff_gives_way_to_what_was_set_for_the_conversation(patient: Server) -> None:
    client = patient.client()
    client.put("/conversations/conv", json={"handed_off_at": None}).raise_for_status()
    root = sent("a", None, {**AGENT, **CONVERSATION})
    export(client, root, executed("t", "a", "escalate_to_human"))
    settle(client)
    (row,) = client.get("/resource-usage/action").json()["items"]
    assert (row["applied_sessions"], row["handoff_count"]) == (1, 0)
