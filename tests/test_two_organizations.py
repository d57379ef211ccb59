"""Two organizations with the same ids everywhere: neither sees or changes what the other has.

One of them lives beside the other on a shared service, and again on a service of its own. Whatever
it asks, both must answer the same, so that the other shows in no row, count, order or error.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from applyrate.dashboard.routes import PAGES
from tests.dashboard import Reader, hidden_fields, reading
from tests.exporting import AGENT, export, sent, settle
from tests.listening import listening
from tests.servers import Server, running_server

THEIRS: Final = "only they may see this"
"""It stands in every text that the other organization has."""

TYPES: Final = ("action", "instruction", "knowledge")
QUICK: Final = settings(
    deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Side(NamedTuple):
    """An organization on a service, with what asks for it."""

    server: Server
    org: str
    client: httpx.Client
    reader: Reader
    key_id: str

    def cursors(self) -> list[str]:
        """The next pages of its lists."""
        return [
            self.client.get(path, params={"limit": 1}).json()["next"]
            for path in ("/resource-usage/action", "/resource-usage/action/res/conversations")
        ]


class World(NamedTuple):
    """Ours beside theirs, and ours alone."""

    ours: Side
    theirs: Side
    alone: Side


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("two")
    with (
        running_server(folder / "shared", trace_quiet_seconds=0) as shared,
        running_server(folder / "alone", trace_quiet_seconds=0) as single,
    ):
        shared_keys = shared.new_key("theirs"), shared.new_key("ours")
        with (
            reading(shared, shared_keys[0]) as their_reader,
            reading(shared, shared_keys[1]) as our_reader,
            reading(single, lone_key := single.new_key("ours")) as lone_reader,
        ):
            theirs = Side(shared, "theirs", shared.client(key=shared_keys[0]), their_reader, "")
            ours = Side(shared, "ours", shared.client(key=shared_keys[1]), our_reader, "")
            alone = Side(single, "ours", single.client(key=lone_key), lone_reader, "")
            # Theirs in the middle: what is ours lies before it and after it in every table.
            fill(ours, "ours", range(4))
            fill(theirs, THEIRS, range(9))
            fill(ours, "ours", range(4, 7))
            fill(alone, "ours", range(4))
            fill(alone, "ours", range(4, 7))
            yield World(*(side._replace(key_id=spare_key(side)) for side in (ours, theirs, alone)))


def fill(side: Side, told: str, numbers: range) -> None:
    """Something of everything, under ids that do not tell whose it is."""
    replies = [reply(number, told) for number in numbers]
    assert side.client.post("/replies", json=replies).json()["accepted"] == len(replies)
    for kind in TYPES:
        entry = {"type": kind, "id": "res", "name": told, "url": f"https://a.test/{quote(told)}"}
        dead = {"type": kind, "id": "dead", "name": told, "version": told}
        assert side.client.put("/resources", json=[entry, dead]).json()["accepted"] == 2
    facts = {"last_message": told, "status": told, "csat": 1 if told == THEIRS else 5}
    assert side.client.put("/conversations/s_1", json=facts).status_code == 204
    unattributed = {**AGENT, "app.chat": told}
    export(side.client, sent("a", None, unattributed, trace=1))
    export(side.client, sent("a", None, {**AGENT, "gen_ai.conversation.id": "s_2"}, trace=2))
    settle(side.client)
    known = rejected_count(side)
    refused = {**reply(0, told), "replied_at": told}
    assert side.client.post("/replies", json=refused).status_code == 400
    wait_until(lambda: rejected_count(side) > known)


def rejected_count(side: Side) -> int:
    return len(side.client.get("/intake/rejected").json()["items"])


def wait_until(holds: Callable[[], object]) -> None:
    ends_at = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < ends_at
        time.sleep(0.05)


def reply(number: int, told: str) -> dict[str, Any]:
    """The same ids for both, and a few that only they have; what was used and said differs."""
    is_theirs = told == THEIRS
    used = ["res", "more", "extra"] if is_theirs else ["res", "more"][: 1 + number % 2]
    return {
        "reply_id": f"r_{number}",
        "session_id": f"s_{number // 2}",
        "replied_at": f"2026-03-0{1 + number % 5}T10:00:0{2 if is_theirs else 1}Z",
        "available": dict.fromkeys(TYPES, used),
        "applied": dict.fromkeys(TYPES, used[: 1 + number % 2]),
        "last_message": told,
        "ticket_number": 777_000 + number if is_theirs else number,
    }


def spare_key(side: Side) -> str:
    name = THEIRS if side.org == "theirs" else "spare"
    return str(side.client.post("/keys", json={"name": name}).json()["key_id"])


IDS: Final = [
    "res",
    "more",
    "dead",
    "extra",
    "none",
    "a/b",
    "%",
    "_es",
    "res' OR '1'='1",
    "theirs",
    "RES",
]
SESSIONS: Final = ["s_0", "s_1", "s_2", "s_3", "s_4", "none", "theirs/s_1", "s%", "' OR 1=1 --"]
VALUES: Final[Mapping[str, list[str]]] = {
    "from": ["2026-03-01", "2026-03-03T10:00:01Z", "0001-01-01", "2027-01-01", "x"],
    "to": ["2026-03-02", "2026-03-05T10:00:03Z", "9999-12-31", "x"],
    "limit": ["1", "2", "250", "0"],
    "compare": ["previous"],
    "format": ["json", "csv", "ndjson", "parquet"],
    "usage": ["applied", "available"],
    "interval": ["hour", "day", "month"],
    "timezone": ["Europe/Berlin", "UTC"],
    "type": list(TYPES),
    "org": ["theirs", "2", "*"],
    "organization": ["theirs"],
    "preset": ["all", "7d", "x"],
    "id": [*IDS, *SESSIONS],
    "search": ["o", "%", THEIRS, "s' OR 1=1 --"],
    "sort": ["name", "applied", "last_used", "handoff_share"],
    "order": ["asc", "desc"],
    "page": ["1", "2"],
    "reason": ["kept", "never_applied", "never_available", "stopped"],
}
ROUTES: Final = (
    "/resource-usage/{type}",
    "/resource-usage/{type}/{id}/usage-summary",
    "/resource-usage/{type}/{id}/comparison",
    "/resource-usage/{type}/{id}/conversations",
    "/resource-usage/{type}/{id}/timeline",
    "/resource-usage/{type}/{id}/outcomes",
    "/conversations/{session}/usage",
    "/insights/unused",
    "/export/usages",
    "/intake/unattributed",
    "/intake/rejected",
)
CLAIMS: Final = [
    {},
    {"X-Org": "theirs"},
    {"X-Organization-Id": "2"},
    {"X-Forwarded-User": "theirs"},
]

queries = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(values) for name, values in VALUES.items()}
)


@st.composite
def targets(draw: st.DrawFn) -> str:
    path = draw(st.sampled_from(ROUTES)).format(
        type=draw(st.sampled_from(TYPES)),
        id=quote(draw(st.sampled_from(IDS)), safe=""),
        session=quote(draw(st.sampled_from(SESSIONS)), safe=""),
    )
    return f"{path}?{urlencode(draw(queries))}"


def text_of(answer: httpx.Response) -> str:
    return answer.content.decode("utf-8", "replace")


def without_own(text: str) -> str:
    """An answer without what is a service's own: what it signed, and when it was sent something."""
    text = re.sub(r'"next":"[^"]+"', '"next":"..."', text)
    text = re.sub(rf"{datetime.now(UTC):%Y-%m}-\d\dT[\d:.]+", "lately", text)
    text = re.sub(r"\d+ \w+ \d{4}, \d\d:\d\d UTC|just now|\d+ min ago", "lately", text)
    return re.sub(r"cursor=[\w-]+", "cursor=...", text)


@settings(QUICK, max_examples=300)
@given(target=targets(), claim=st.sampled_from(CLAIMS))
def test_no_question_of_one_shows_the_other(
    world: World, target: str, claim: dict[str, str]
) -> None:
    here, alone = (side.client.get(target, headers=claim) for side in (world.ours, world.alone))
    assert THEIRS not in text_of(here).replace(f"'{THEIRS}'", "")
    assert here.status_code == alone.status_code
    assert without_own(text_of(here)) == without_own(text_of(alone))
    assert without_own(here.headers.get("link", "")) == without_own(alone.headers.get("link", ""))


def test_pages_of_one_go_on_beside_the_other_as_they_do_alone(world: World) -> None:
    for path in (*(f"/resource-usage/{kind}" for kind in TYPES), "/insights/unused"):
        assert pages(world.ours, path) == pages(world.alone, path)
    for kind in TYPES:
        path = f"/resource-usage/{kind}/res/conversations"
        assert pages(world.ours, path) == pages(world.alone, path)


def pages(side: Side, path: str) -> list[Any]:
    rows, cursor = [], None
    while True:
        query = {"limit": "1", "type": "action"} | ({"cursor": cursor} if cursor else {})
        page = side.client.get(path, params=query).json()
        rows += page["items"]
        cursor = page["next"]
        if cursor is None:
            return rows


@settings(QUICK, max_examples=100)
@given(data=st.data())
def test_no_cursor_of_the_other_is_taken(world: World, data: st.DataObject) -> None:
    cursor = data.draw(st.sampled_from(world.theirs.cursors()))
    kind = data.draw(st.sampled_from(TYPES))
    path = data.draw(
        st.sampled_from(
            [
                f"/resource-usage/{kind}",
                f"/resource-usage/{kind}/res/conversations",
                "/insights/unused",
            ]
        )
    )
    place = data.draw(st.none() | st.integers(0, len(cursor) - 1))
    if place is not None:
        cursor = cursor[:place] + data.draw(st.sampled_from("Aaz09-_")) + cursor[place + 1 :]
    answer = world.ours.client.get(path, params={"cursor": cursor, "type": kind})
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("cursor: ")


def test_a_stream_of_one_begins_and_goes_on_without_the_other(world: World) -> None:
    def told(side: Side, path: str = "/stream") -> list[tuple[str, str, Any]]:
        with listening(side.client, path, after=0) as stream:
            events = [stream.next(), *stream.rest(0.5)]
        return [(e.data["resource_type"], e.resource, e.data["summary"]) for e in events]

    for path in ("/stream", "/resource-usage/action/res/stream"):
        assert told(world.ours, path) == told(world.alone, path)


def test_the_list_of_keys_is_ones_own(world: World) -> None:
    listed = world.ours.client.get("/keys")
    assert THEIRS not in listed.text
    assert {row["org"] for row in listed.json()["items"]} == {"ours"}


def test_the_audit_log_is_ones_own(world: World) -> None:
    side = world.ours
    assert side.client.delete("/conversations/only%20ours").status_code == 204
    rows = pages(side, "/audit")
    keys = side.client.get("/keys").json()["items"]
    assert THEIRS not in str(rows)
    made = {row["target"] for row in rows if row["action"] == "key.create"}
    assert made == {key["key_id"] for key in keys}
    (erased,) = [row["target"] for row in rows if row["action"] == "conversation.erase"]
    assert world.theirs.client.delete("/conversations/only%20ours").status_code == 204
    assert pages(side, "/audit") == rows
    assert erased not in {row["target"] for row in pages(world.theirs, "/audit")}


PLACES: Final = sorted(
    path
    for page in PAGES
    if "GET" in page.http_methods
    for path in page.paths
    if "{" not in path and path not in ("/dashboard/stream", "/dashboard/keys")
)


@settings(QUICK, max_examples=150)
@given(place=st.sampled_from(PLACES), query=queries)
def test_no_page_of_one_shows_the_other(world: World, place: str, query: dict[str, str]) -> None:
    here, alone = (side.reader.http.get(place, params=query) for side in (world.ours, world.alone))
    assert here.status_code == alone.status_code
    if THEIRS not in query.values():
        assert THEIRS not in text_of(here)
    assert plain(here, world.ours) == plain(alone, world.alone)


def plain(page: httpx.Response, side: Side) -> str:
    """A page without what belongs to the session, the request or the service."""
    text = (
        without_own(text_of(page))
        .replace(side.server.url, "")
        .replace(page.headers["x-request-id"], "")
    )
    text = re.sub(r"last_event_id=\d+", "", text)
    return re.sub(r"\b[0-9a-f]{64}\b", "", text)


def test_the_page_of_keys_is_ones_own(world: World) -> None:
    page = world.ours.reader.open("/dashboard/keys")
    assert THEIRS not in page.text
    assert world.theirs.key_id not in page.text


class Change(NamedTuple):
    """A request that changes something of whoever sends it."""

    method: str
    target: str
    body: Any


def changes(world: World) -> st.SearchStrategy[Change]:
    """What they may send, with every id that we have."""
    numbers = st.integers(0, 12)
    kinds = st.sampled_from(TYPES)
    sessions = st.sampled_from(SESSIONS)
    return st.one_of(
        st.builds(
            lambda number, session: Change(
                "POST", "/replies", {**reply(number, THEIRS), "session_id": session}
            ),
            *(numbers, sessions),
        ),
        st.builds(
            lambda session, csat: Change(
                "PUT",
                f"/conversations/{quote(session, safe='')}",
                {"handed_off_at": "2026-03-02T00:00:00Z", "csat": csat, "last_message": THEIRS},
            ),
            *(sessions, st.sampled_from([1, None])),
        ),
        st.builds(
            lambda session: Change("DELETE", f"/conversations/{quote(session, safe='')}", None),
            sessions,
        ),
        st.builds(
            lambda kind, resource, keep: Change(
                "PUT", "/resources", {"type": kind, "id": resource, "keep": keep, "name": THEIRS}
            ),
            *(kinds, st.sampled_from(IDS), st.booleans()),
        ),
        st.just(Change("DELETE", f"/keys/{world.ours.key_id}", None)),
        st.just(Change("POST", "/keys", {"name": THEIRS})),
        st.builds(lambda number: Change("trace", str(number), THEIRS), st.integers(1, 4)),
        st.builds(lambda name: Change("map", name, None), st.sampled_from(["app.chat", "org"])),
        st.builds(lambda kind: Change("keep", kind, None), kinds),
        st.just(Change("revoke", world.ours.key_id, None)),
    )


def send(side: Side, change: Change) -> None:
    """Send it through the API, or through a form of the dashboard."""
    if change.method == "trace":
        told = {**AGENT, "gen_ai.conversation.id": "s_2", "app.chat": change.body}
        export(side.client, sent("a", None, told, trace=int(change.target)))
        settle(side.client)
    elif change.method in ("map", "keep", "revoke"):
        page = side.reader.open("/dashboard/keys")
        proof = hidden_fields(page, "/dashboard/keys")
        action, fields = {
            "map": ("/dashboard/intake", {"attribute": change.target}),
            "keep": (f"/dashboard/keep?type={change.target}&id=res", {"keep": "yes"}),
            "revoke": (f"/dashboard/keys/{change.target}/revoke", {}),
        }[change.method]
        answer = side.reader.http.post(action, data={**proof, **fields})
        assert answer.status_code == (404 if change.method == "revoke" else answer.status_code)
        assert answer.status_code < 500
    else:
        given_ = {} if change.body is None else {"json": change.body}
        answer = side.client.request(change.method, change.target, **given_)
        is_key = change.target.startswith("/keys/")
        assert answer.status_code == (404 if is_key else answer.status_code)
        assert answer.status_code < 500


def seen(side: Side) -> list[str]:
    """All that an organization can see of itself."""
    targets = [
        route.format(type=kind, id="res", session=session) + f"?type={kind}&limit=250"
        for route in ROUTES
        if "comparison" not in route
        for kind, session in zip(TYPES, ("s_0", "s_1", "s_2"), strict=True)
    ]
    keys = side.client.get("/keys").json()["items"]
    return [
        *(text_of(side.client.get(target)) for target in targets),
        *(f"{row['key_id']} {row['name']} {row['revoked_at']}" for row in keys),
    ]


@settings(QUICK, max_examples=40)
@given(data=st.data())
def test_nothing_that_one_sends_changes_the_other(world: World, data: st.DataObject) -> None:
    before = seen(world.ours)
    for change in data.draw(st.lists(changes(world), min_size=1, max_size=6)):
        send(world.theirs, change)
    assert seen(world.ours) == before


def test_every_route_and_page_is_asked(world: World) -> None:
    document = world.ours.client.get("/openapi.json").json()
    described = {path for path, methods in document["paths"].items() if "get" in methods}
    asked = {
        route.replace("{type}", "{resource_type}")
        .replace("{id}", "{resource_id}")
        .replace("{session}", "{session_id}")
        for route in ROUTES
    }
    followed = {path for path in described if path.endswith("/stream")}
    others = {"/keys", "/audit", "/metrics", "/health/live", "/health/ready"}
    assert described - followed - others == asked
    names = {
        parameter["name"]
        for methods in document["paths"].values()
        for operation in methods.values()
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "query"
    }
    assert names - {"cursor", "last_event_id"} <= set(VALUES)
