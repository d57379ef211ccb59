"""``applyrate summary``, ``list`` and ``conversations`` answer what the HTTP API answers."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from applyrate.usage import (
    Applied,
    Available,
    ConversationFacts,
    Invocation,
    Recording,
    Reply,
    ResourceType,
)
from tests.commands import answer, run
from tests.servers import Server

START = datetime(2026, 3, 1, 10, tzinfo=UTC)
ODD_ID = "näme/with [red]odd[/] 🙂 signs"


@pytest.fixture(scope="module")
def org(server: Server) -> str:
    """An organization with a little of everything."""
    name = server.new_org()
    replies = [
        Reply(
            reply_id=f"r_{number}",
            session_id=f"s_{number // 3}",
            replied_at=START + timedelta(hours=number, microseconds=number),
            available=Available(
                instruction=["tone", "refunds", "never"], knowledge=["kb_1", ODD_ID]
            ),
            applied=Applied(
                instruction=["tone"] if number % 2 else ["tone", "refunds"],
                knowledge=[ODD_ID],
                action=["look_up", Invocation("look_up", "call_2"), f"action_{number:03}"],
            ),
            ticket_number=number if number % 4 == 0 else None,
            last_message=f"Message {number} [bold]of many[/]",
        )
        for number in range(300)
    ]
    server.store.record([Recording(name, replies)])
    server.store.set_conversations(name, {"s_0": ConversationFacts(handed_off_at=START)})
    return name


Query = dict[str, str]

WINDOWS: list[Query] = [
    {},
    {"from": "2026-03-02"},
    {"to": "2026-03-04T09:30:00Z"},
    {"from": "2026-03-02T11:00:00+02:00", "to": "2026-03-05"},
]
RESOURCES = [
    ("action", "look_up"),
    ("instruction", "refunds"),
    ("instruction", "never"),
    ("knowledge", ODD_ID),
    ("knowledge", "nobody knows it"),
]


def options(query: Query) -> list[str]:
    return [word for name, value in query.items() for word in (f"--{name}", value)]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(("resource_type", "resource_id"), RESOURCES)
def test_summary_and_conversations_are_the_apis_to_the_byte(
    server: Server, org: str, resource_type: str, resource_id: str, window: Query
) -> None:
    client = server.client(org)
    where = ("--data", server.data, "--org", org, "--json")
    path = f"/resource-usage/{resource_type}/{quote(resource_id, safe='')}"
    summary = client.get(f"{path}/usage-summary", params=window)
    result = run("summary", resource_type, resource_id, *options(window), *where)
    assert result.stdout == summary.text + "\n"
    queries: list[Query] = [{"limit": "7"}, {"usage": "available"}]
    for query in queries:
        conversations = client.get(f"{path}/conversations", params=window | query)
        told = options(window | query)
        result = run("conversations", resource_type, resource_id, *told, *where)
        assert result.stdout == conversations.text + "\n"


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("resource_type", ResourceType)
def test_the_list_is_the_apis_to_the_byte(
    server: Server, org: str, resource_type: str, window: Query
) -> None:
    page = server.client(org).get(f"/resource-usage/{resource_type}", params=window)
    where = ("--data", server.data, "--org", org, "--json")
    assert run("list", resource_type, *options(window), *where).stdout == page.text + "\n"


def test_a_cursor_goes_on_from_either_side(server: Server, org: str) -> None:
    where = ("--data", server.data, "--org", org)
    ours = answer("list", "action", "--limit", 60, *where)
    seen = {row["resource_id"] for row in ours["items"]}
    theirs = server.client(org).get("/resource-usage/action", params={"cursor": ours["next"]})
    seen |= {row["resource_id"] for row in theirs.json()["items"]}
    assert len(seen) == 60 + 50
    ours = answer("list", "action", "--cursor", theirs.json()["next"], *where)
    assert len(ours["items"]) == 50
    assert len({row["resource_id"] for row in ours["items"]} & seen) == 0


def test_all_shows_every_page_as_one(server: Server, org: str) -> None:
    where = ("--data", server.data, "--org", org, "--all")
    everything = answer("list", "action", *where)
    assert len({row["resource_id"] for row in everything["items"]}) == 301
    assert everything["next"] is None
    conversations = answer("conversations", "action", "look_up", *where)
    assert len(conversations["items"]) == 100


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_tables_fit_their_columns(server: Server, org: str, columns: int) -> None:
    where = ("--data", server.data, "--org", org)
    for arguments in (
        ("summary", "knowledge", ODD_ID),
        ("list", "action", "--all"),
        ("list", "knowledge"),
        ("conversations", "instruction", "tone", "--all"),
        ("keys", "list"),
    ):
        result = run(*arguments, *where, columns=columns)
        assert result.exit_code == 0
        assert max(map(len, result.stdout.splitlines()[1:])) <= columns


def test_tables_show_ids_and_messages_as_they_are(server: Server, org: str) -> None:
    where = ("--data", server.data, "--org", org)
    assert ODD_ID in run("list", "knowledge", *where, columns=120).stdout
    shown = run("conversations", "knowledge", ODD_ID, *where, columns=120).stdout
    assert "Message 299 [bold]of many[/]" in shown
    assert ODD_ID in shown


def test_the_apply_rate_is_shown_where_there_is_one(server: Server, org: str) -> None:
    where = ("--data", server.data, "--org", org)
    assert "50.0 %" in run("summary", "instruction", "refunds", *where).stdout
    assert "50.0 %" in run("list", "instruction", *where).stdout
    assert "0.0 %" in run("summary", "instruction", "never", *where).stdout
    assert "%" not in run("summary", "action", "look_up", *where).stdout


@pytest.fixture(scope="module")
def silent_org(server: Server) -> str:
    """An organization whose sources cannot tell which instructions were applied."""
    name = server.new_org()
    prompt = Available(instruction=["sha256-2dee60e6659d", "tone"])
    names = {ResourceType.INSTRUCTION: {"tone": "Tone [bold]of[/]\nvoice " + "x" * 200}}
    actions = frozenset({ResourceType.ACTION})
    reply = Reply("r_1", "s_1", START, available=prompt, applied=Applied(action=["look_up"]))
    server.store.record([Recording(name, [reply], names=names, reports=actions)])
    return name


def test_without_a_signal_no_rate_is_shown_and_a_sentence_says_why(
    server: Server, silent_org: str
) -> None:
    where = ("--data", server.data, "--org", silent_org)
    for arguments in (("list", "instruction"), ("summary", "instruction", "tone")):
        shown = run(*arguments, *where).stdout
        assert "no signal" in shown
        assert "can tell which instructions were applied" in shown
        assert "applyrate.applied.instruction" in shown
        for misleading in ("%", "never"):
            assert misleading not in shown
    for arguments in (("list", "action"), ("summary", "action", "look_up")):
        assert "signal" not in run(*arguments, *where).stdout.lower()


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_name_stands_on_one_line_below_its_id(
    server: Server, silent_org: str, columns: int
) -> None:
    listed = run("list", "instruction", "--data", server.data, "--org", silent_org, columns=columns)
    lines = [line.rstrip() for line in listed.stdout.splitlines()]
    (place,) = (number for number, line in enumerate(lines) if line.startswith(" tone "))
    assert lines[place + 1].startswith(" Tone [bold]of[/] ")
    assert lines[place + 1].endswith("…")
    assert max(map(len, lines)) <= columns


def test_an_empty_answer_says_so(server: Server) -> None:
    where = ("--data", server.data, "--org", "nobody")
    assert "Nothing is recorded here" in run("list", "action", *where).stdout
    assert "Nothing is recorded here" in run("conversations", "action", "x", *where).stdout
    assert "0 conversations" in run("summary", "action", "x", *where).stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "action", "--from", "2026-13-01"),
        ("list", "action", "--from", "2026-03-02", "--to", "2026-03-01"),
        ("list", "action", "--cursor", "made up"),
        ("conversations", "action", "look_up", "--from", "soon"),
    ],
)
def test_what_the_api_answers_400_is_a_wrong_call(
    server: Server, arguments: tuple[str, ...]
) -> None:
    result = run(*arguments, "--data", server.data)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    machine = run(*arguments, "--data", server.data, "--json")
    assert machine.exit_code == 2
    body = json.loads(machine.stderr)
    assert (body["statusCode"], body["error"]) == (400, "Bad Request")


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "banana"),
        ("list",),
        ("list", "action", "--limit", "251"),
        ("summary", "action"),
        ("conversations", "action", "x", "--usage", "both"),
        ("summary", "action", "x", "--org", ""),
        ("no-such-command",),
    ],
)
def test_a_wrong_call_exits_with_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2
