"""The clock: set forwards or backwards it stops nothing; the future is bounded, the past is not."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from applyrate.api.moving_window import MovingWindow
from applyrate.usage import ResourceType, Window
from tests.clocks import Clock, new_clock
from tests.commands import run
from tests.listening import listening
from tests.servers import running_server
from tests.test_api_errors import check_error

HOUR = 3_600
DAY = 24 * HOUR
PATIENCE_SECONDS = 30
LAST_INSTANT = "9999-12-31T23:59:59.999999Z"


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    return new_clock(tmp_path, monkeypatch)


def reply(reply_id: str, replied_at: str) -> dict[str, Any]:
    return {
        "reply_id": reply_id,
        "session_id": f"s-{reply_id}",
        "replied_at": replied_at,
        "applied": {"action": ["look"]},
    }


def instant(ahead_seconds: float) -> str:
    """A time so far ahead of the true one."""
    return (datetime.now(UTC) + timedelta(seconds=ahead_seconds)).isoformat()


def export_of(*spans: dict[str, Any]) -> dict[str, Any]:
    return {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}


def span(number: int, at: datetime | int, *, parent: str = "") -> dict[str, Any]:
    """The call of an action, at a time or so many nanoseconds after 1970."""
    nanoseconds = at if isinstance(at, int) else round(at.timestamp() * 1e6) * 1_000
    return {
        "traceId": f"{number:032x}",
        "spanId": f"{number:016x}",
        "parentSpanId": parent,
        "name": "execute_tool look",
        "startTimeUnixNano": str(nanoseconds),
        "endTimeUnixNano": str(nanoseconds),
        "attributes": [
            {"key": key, "value": {"stringValue": value}}
            for key, value in (
                ("gen_ai.operation.name", "execute_tool"),
                ("gen_ai.tool.name", "look"),
                ("gen_ai.conversation.id", f"c{number}"),
            )
        ],
    }


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def applied(client: httpx.Client) -> int:
    path = "/resource-usage/action/look/usage-summary"
    return int(client.get(path).json()["applied_replies"])


def ahead_seconds(client: httpx.Client) -> float:
    """How far ahead of the true time the service's clock is, as a new key tells."""
    told = datetime.fromisoformat(client.post("/keys", json={"name": "now"}).json()["created_at"])
    return (told - datetime.now(UTC)).total_seconds()


def test_a_clock_that_is_set_stops_no_recording_and_no_stream(tmp_path: Path, clock: Clock) -> None:
    with running_server(tmp_path / "data") as server:
        client = server.client()
        with listening(client) as stream:
            for number, shift in enumerate((0, 2 * DAY, -2 * DAY, 400 * DAY, 0)):
                clock.set(shift)
                assert abs(ahead_seconds(client) - shift) < HOUR
                answer = client.post("/replies", json=reply(f"r{number}", "2026-03-01T10:00:00Z"))
                assert answer.json()["accepted"] == 1
                assert stream.next().applied == number + 1
        assert list(server.store.check()) == []


def test_a_clock_that_is_set_gives_and_takes_no_requests(tmp_path: Path, clock: Clock) -> None:
    with running_server(tmp_path / "data", standard_limit=3) as server:
        client = server.client()
        for shift in (0, 2 * HOUR, -2 * HOUR):
            clock.set(shift)
            answer = client.get("/keys")
            assert answer.status_code == 200
            assert 0 < int(answer.headers["ratelimit"].partition("t=")[2]) <= 60
        clock.set(4 * HOUR)
        refused = client.get("/keys")
        assert refused.status_code == 429
        assert 0 < int(refused.headers["retry-after"]) <= 60


def test_used_up_requests_come_back_whatever_the_wall_clock_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wall, steady = 1e9, 100.0
    monkeypatch.setattr(time, "time", lambda: wall)
    monkeypatch.setattr(time, "monotonic", lambda: steady)
    window = MovingWindow(1, 60)
    assert [window.spend("key"), window.spend("key")] == [True, False]
    wall += DAY
    assert not window.spend("key")
    wall -= 2 * DAY
    steady += 60
    assert window.spend("key")


def test_a_key_expires_by_the_wall_clock(tmp_path: Path, clock: Clock) -> None:
    with running_server(tmp_path / "data") as server:
        expires_at = datetime.now(UTC) + timedelta(hours=1)
        client = server.client(key=server.new_key("acme", expires_at=expires_at))
        for shift, status in ((0, 200), (2 * HOUR, 401), (-2 * HOUR, 200)):
            clock.set(shift)
            assert client.get("/keys").status_code == status


def test_the_quiet_time_of_a_trace_passes_whatever_the_clock_says(
    tmp_path: Path, clock: Clock
) -> None:
    now = datetime.now(UTC)
    with running_server(tmp_path / "data", trace_quiet_seconds=1) as server:
        client = server.client()
        client.post("/v1/traces", json=export_of(span(1, now, parent="f" * 16)))
        clock.set(-DAY)
        wait_until(lambda: applied(client) == 1)
    with running_server(tmp_path / "other", trace_quiet_seconds=HOUR) as server:
        client = server.client()
        client.post("/v1/traces", json=export_of(span(1, now, parent="f" * 16)))
        clock.set(DAY)
        time.sleep(2)
        assert client.get("/intake/unattributed").json()["waiting_count"] == 1
        assert applied(client) == 0


def test_a_trace_waits_no_longer_for_a_clock_that_was_ahead_before_a_restart(
    tmp_path: Path, clock: Clock
) -> None:
    clock.set(30 * DAY)
    with running_server(tmp_path / "data", trace_quiet_seconds=HOUR) as server:
        sent = server.client("acme").post(
            "/v1/traces", json=export_of(span(1, datetime.now(UTC), parent="f" * 16))
        )
        assert sent.json() == {}
    clock.set(0)
    with running_server(tmp_path / "data", trace_quiet_seconds=1) as server:
        client = server.client("acme")
        wait_until(lambda: applied(client) == 1)


def test_a_reply_from_the_future_is_rejected_alone_with_the_reason(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", max_future_seconds=HOUR) as server:
        client = server.client()
        late = instant(HOUR + 600)
        answer = client.post(
            "/replies",
            json=[reply("now", instant(0)), reply("late", late), reply("soon", instant(HOUR - 60))],
        ).json()
        assert answer["accepted"] == 2
        (rejected,) = answer["rejected"]
        assert (rejected["index"], rejected["reply_id"]) == (1, "late")
        assert rejected["message"].startswith(
            f"replied_at: {late.replace('+00:00', 'Z')} is more than 3600 s ahead of the service's"
            " clock at 20"
        )
        assert applied(client) == 2
        assert "ahead of the service's clock" in check_error(
            client.post("/replies", json=reply("late", late)), 400
        )


def test_no_future_at_all_can_be_allowed(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", max_future_seconds=0) as server:
        client = server.client()
        sent = [reply("past", instant(-1)), reply("soon", instant(60))]
        answer = client.post("/replies", json=sent).json()
        assert answer["accepted"] == 1
        assert "more than 0 s ahead" in answer["rejected"][0]["message"]


def test_a_day_ahead_is_allowed_where_nothing_is_set(client: httpx.Client) -> None:
    sent = [reply("a", instant(DAY - 60)), reply("b", instant(DAY + 60))]
    answer = client.post("/replies", json=sent).json()
    assert (answer["accepted"], answer["rejected"][0]["reply_id"]) == (1, "b")


def test_an_imported_reply_from_the_future_is_rejected_alone(tmp_path: Path) -> None:
    replies = [reply("now", instant(0)), reply("late", instant(3 * DAY))]
    lines = [json.dumps(one) for one in replies]
    file = tmp_path / "replies.ndjson"
    file.write_text("\n".join(lines))
    done = run("import", file, "--format", "replies", "--data", tmp_path / "data")
    assert done.exit_code == 1
    assert "1 reply imported, 1 rejected" in done.stdout
    assert "line 2: replied_at: " in done.stderr
    assert "ahead of the service's clock" in done.stderr


def test_every_year_from_1_to_9999_is_counted(tmp_path: Path) -> None:
    times = [
        "0001-01-01T00:00:00Z",
        "0001-01-01T23:59:59.999999Z",
        "1582-10-10T12:00:00Z",
        "1969-12-31T23:59:59.999999Z",
        "1970-01-01T00:00:00Z",
        "2000-02-29T12:00:00Z",
        "9999-12-31T00:00:00Z",
        LAST_INSTANT,
    ]
    with running_server(tmp_path / "data", max_future_seconds=10**12) as server:
        org = server.new_org()
        client = server.client(org)
        sent = [reply(f"r{number}", at) for number, at in enumerate(times)]
        assert client.post("/replies", json=sent).json()["accepted"] == len(times)
        summary = client.get("/resource-usage/action/look/usage-summary").json()
        assert summary["applied_replies"] == len(times)
        assert summary["first_used_at"] == times[0]
        assert summary["last_used_at"] == times[-1]
        for day in {at[:10] for at in times}:
            counts = server.store.summary(org, ResourceType.ACTION, "look", Window.parse(day, day))
            # The last instant of all is no day's: none can come after it for a window to end at.
            in_day = [at for at in times if at.startswith(day) and at != LAST_INSTANT]
            assert counts.applied_replies == len(in_day)
        for from_, to, in_window in (
            (times[0], times[1], 1),
            (times[3], times[4], 1),
            (times[6], LAST_INSTANT, 1),
            (LAST_INSTANT, None, 1),
        ):
            window = Window.parse(from_, to)
            counts = server.store.summary(org, ResourceType.ACTION, "look", window)
            assert counts.applied_replies == in_window
        nothing = client.get(
            "/resource-usage/action/look/usage-summary", params={"to": times[0]}
        ).json()
        assert nothing["applied_replies"] == 0
        assert list(server.store.check()) == []


def test_a_span_from_the_future_is_refused_alone_with_the_reason(client: httpx.Client) -> None:
    now = datetime.now(UTC)
    late = now + timedelta(days=2)
    told = client.post("/v1/traces", json=export_of(span(1, now), span(2, late))).json()
    assert told["partialSuccess"]["rejectedSpans"] == "1"
    message = told["partialSuccess"]["errorMessage"]
    assert message.startswith(f"span {2:016x} of trace {2:032x}: endTimeUnixNano: {late.year}-")
    assert "is more than 86400 s ahead of the service's clock" in message
    many = client.post("/v1/traces", json=export_of(*(span(n, late) for n in range(2, 8)))).json()
    assert many["partialSuccess"]["rejectedSpans"] == "6"
    assert many["partialSuccess"]["errorMessage"].endswith("; and 3 more")
    wait_until(lambda: applied(client) == 1)
    wait_until(lambda: client.get("/intake/unattributed").json()["waiting_count"] == 0)


def test_a_span_from_1970_is_counted(client: httpx.Client) -> None:
    assert client.post("/v1/traces", json=export_of(span(1, 1_000))).json() == {}
    wait_until(lambda: applied(client) == 1)
    summary = client.get("/resource-usage/action/look/usage-summary").json()
    assert summary["first_used_at"] == "1970-01-01T00:00:00.000001Z"
