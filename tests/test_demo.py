"""``applyrate demo``: a support agent's days that are worth looking at, the same every time."""

import re
import shlex
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from applyrate.demo.agent import ACTIONS
from applyrate.demo.catalogue import catalogue
from applyrate.demo.simulation import simulate
from applyrate.usage import Reply
from tests.commands import answer, run, start_process

END_AT = datetime(2026, 3, 31, 18, 30, tzinfo=UTC)
START_SECONDS = END_SECONDS = 60


@pytest.fixture(scope="module")
def replies() -> list[Reply]:
    return [reply for day in simulate(END_AT, 90) for reply in day.replies]


def test_the_same_days_come_out_the_same() -> None:
    assert list(simulate(END_AT, 3)) == list(simulate(END_AT, 3))


def test_what_is_simulated_later_only_adds_to_it() -> None:
    *_, before = simulate(END_AT, 2)
    *_, after = simulate(END_AT + timedelta(hours=3), 2)
    assert {reply.reply_id for reply in before.replies} < {
        reply.reply_id for reply in after.replies
    }


def test_ninety_days_end_now_and_hold_tens_of_thousands_of_replies(replies: list[Reply]) -> None:
    assert 30_000 < len(replies) < 60_000
    assert len({reply.reply_id for reply in replies}) == len(replies)
    times = [reply.replied_at for reply in replies]
    assert max(times) < END_AT
    assert max(times) > END_AT - timedelta(hours=1)
    assert END_AT - timedelta(days=90) < min(times) < END_AT - timedelta(days=89)


def test_a_ticket_number_is_of_one_conversation(replies: list[Reply]) -> None:
    tickets = {
        (reply.ticket_number, reply.session_id)
        for reply in replies
        if reply.ticket_number is not None
    }
    assert len({ticket for ticket, _ in tickets}) == len(tickets) > 1000


def test_days_and_weeks_have_their_rhythm(replies: list[Reply]) -> None:
    hours = Counter(reply.replied_at.hour for reply in replies)
    assert hours[10] > 5 * hours[3]
    days = Counter(reply.replied_at.weekday() for reply in replies)
    assert days[0] > 1.5 * days[6]


def actions(reply: Reply) -> Iterator[str]:
    return (action if isinstance(action, str) else action.id for action in reply.applied.action)


def test_there_is_dead_weight_to_find(replies: list[Reply]) -> None:
    available: Counter[str] = Counter()
    last_applied: dict[str, datetime] = {}
    for reply in replies:
        had, used = reply.available, reply.applied
        available.update((*had.instruction, *had.knowledge, *had.action))
        for resource_id in (*used.instruction, *used.knowledge, *actions(reply)):
            last_applied[resource_id] = reply.replied_at
    instructions = {name for name in available if "kb-" not in name and "_" not in name}
    articles = {name for name in available if name.startswith("kb-")}
    assert 30 <= len(instructions) <= 60
    assert 200 <= len(articles) <= 500
    assert {action.id for action in ACTIONS} <= available.keys()
    never = available.keys() - last_applied.keys()
    assert {"no-emojis", "fax-orders", "book_callback"} <= never
    assert len(never & articles) > 20
    assert last_applied["courier-strike"] < END_AT - timedelta(days=50)
    dead = {
        name
        for name in articles & last_applied.keys()
        if available[name] > 200 and last_applied[name] < END_AT - timedelta(days=8)
    }
    assert dead


def test_one_action_nearly_always_ends_in_a_handoff(replies: list[Reply]) -> None:
    called: dict[str, set[str]] = {}
    for reply in replies:
        for action in actions(reply):
            called.setdefault(action, set()).add(reply.session_id)
    handed_off = called["escalate_to_human"]
    shares = {
        action: len(sessions & handed_off) / len(sessions) for action, sessions in called.items()
    }
    assert 0.8 < shares.pop("open_warranty_case") < 1
    assert shares.pop("escalate_to_human") == 1
    assert max(shares.values()) < 0.4


def test_some_actions_are_invoked_again_in_the_same_reply(replies: list[Reply]) -> None:
    assert any(count > 1 for reply in replies for count in Counter(actions(reply)).values())


def curl(told: str) -> list[Any]:
    """What the printed lines answer, each asked as it stands there."""
    answers = []
    for line in told.splitlines():
        if line.startswith("curl "):
            _, _, header, url = shlex.split(line)
            name, _, value = header.partition(": ")
            answers.append(httpx.get(url, headers={name: value}).raise_for_status().json())
    return answers


@contextmanager
def serving(data: Path, *options: object) -> Iterator[str]:
    """The demo as a process of its own: what it printed until it served."""
    with start_process(
        "demo", "--data", data, "--days", 5, "--port", 0, *options, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        told = ""
        try:
            while "Serving" not in told:
                line = process.stdout.readline().decode()
                assert line, told
                told += line
            yield told
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=END_SECONDS)
    assert process.returncode == 0


def test_the_demo_serves_what_its_lines_ask_for(tmp_path: Path) -> None:
    data = tmp_path / "demo"
    with serving(data) as told:
        summary, instructions, conversations = curl(told)
    assert summary["applied_replies"] > 100
    assert len(instructions["items"]) > 30
    assert conversations["items"][0]["last_message"]
    counted = answer("list", "action", "--data", data)["items"]
    (escalation,) = (row for row in counted if row["resource_id"] == "escalate_to_human")
    assert escalation["handoff_count"] == escalation["applied_sessions"] > 0
    assert run("check", "--data", data).exit_code == 0


def test_the_demo_opens_signed_in_once(tmp_path: Path) -> None:
    with serving(tmp_path / "demo") as told:
        (link,) = re.findall(r"^http://127\.0\.0\.1:\d+/dashboard/open/\S+$", told, re.MULTILINE)
        with httpx.Client(follow_redirects=True) as reader:
            opened = reader.get(link)
            assert (opened.status_code, opened.url.path) == (200, "/dashboard")
        assert httpx.get(link, follow_redirects=True).status_code == 401


def test_the_demo_gives_no_link_to_other_machines(tmp_path: Path) -> None:
    with serving(tmp_path / "demo", "--host", "0.0.0.0") as told:  # noqa: S104 (that is the case)
        assert "/dashboard/open/" not in told


def test_the_catalogue_names_what_the_agent_has(tmp_path: Path) -> None:
    run("demo", "--data", tmp_path / "demo", "--days", 2, "--no-serve")
    listed = answer("list", "instruction", "--data", tmp_path / "demo")["items"]
    assert all(row["name"] for row in listed)


def test_an_instruction_has_a_version_for_each_time_it_was_written() -> None:
    entries = [entry for entry in catalogue(END_AT) if entry.id == "refund-policy"]
    assert [entry.version for entry in entries] == ["v1", "v2"]
    assert entries[1].published_at == END_AT - timedelta(days=21)


def test_a_later_run_fills_nothing_and_renews_the_key(tmp_path: Path) -> None:
    data = tmp_path / "demo"
    first = run("demo", "--data", data, "--days", 2, "--no-serve")
    counted = answer("list", "instruction", "--data", data)
    again = run("demo", "--data", data, "--no-serve")
    assert again.exit_code == 0
    assert "is filled, with 2 days" in again.stdout
    assert answer("list", "instruction", "--data", data) == counted
    keys = answer("keys", "list", "--data", data)["items"]
    assert [key["revoked_at"] is None for key in keys] == [False, True]
    shown = [re.findall(r"apr_live_\w+", result.stdout)[0] for result in (first, again)]
    assert [key["hint"] for key in keys] == [key[-4:] for key in shown]


def test_a_filling_that_was_interrupted_is_finished(tmp_path: Path) -> None:
    data, whole = tmp_path / "demo", tmp_path / "whole"
    run("demo", "--data", data, "--days", 2, "--no-serve")
    plan = data / "demo.json"
    (data / "applyrate.db").unlink()
    plan.write_text(plan.read_text().replace('"filled":true', '"filled":false'))
    assert "is filled" not in run("demo", "--data", data, "--days", 9, "--no-serve").stdout
    assert '"days":2' in plan.read_text()
    assert '"filled":true' in plan.read_text()
    assert answer("list", "action", "--data", data)["items"]
    assert not whole.exists()


def test_a_folder_with_other_data_is_left_alone(tmp_path: Path) -> None:
    run("keys", "create", "--name", "real", "--data", tmp_path)
    result = run("demo", "--data", tmp_path, "--no-serve")
    assert result.exit_code == 2
    assert "holds something that the demo did not make" in result.stderr
    assert not answer("list", "action", "--data", tmp_path)["items"]
