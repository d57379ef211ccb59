"""Answers that are kept ready: none that no longer holds, and to nobody who may not have it."""

import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from applyrate.keys import digest
from applyrate.store import FILE, open_store
from applyrate.usage import Applied, Available, Recording, Reply
from tests.servers import Server, running_server

SUMMARY = "/resource-usage/instruction/ins_1/usage-summary"
WINDOW = {"from": "2026-03-01", "to": "2026-03-31"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("kept")) as running:
        yield running


def reply(number: int) -> dict[str, Any]:
    at = datetime(2026, 3, 1, 10, tzinfo=UTC) + timedelta(minutes=number)
    return {
        "reply_id": f"r_{number}",
        "session_id": f"s_{number}",
        "replied_at": at.isoformat(),
        "applied": {"instruction": ["ins_1"]},
    }


def record(client: httpx.Client, number: int) -> None:
    assert client.post("/replies", json=reply(number)).json()["accepted"] == 1


def applied(client: httpx.Client, **query: str) -> int:
    answer = client.get(SUMMARY, params=query)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["applied_replies"])


def test_a_recorded_reply_shows_in_the_next_answer_to_the_same_question(server: Server) -> None:
    client = server.client()
    for number in range(20):
        assert applied(client, **WINDOW) == applied(client, **WINDOW) == number
        record(client, number)
    assert applied(client, **WINDOW) == 20


def test_what_another_process_records_shows_in_the_next_answer(server: Server) -> None:
    org = server.new_org()
    client = server.client(org)
    with running_server(server.data) as other:
        elsewhere = other.client(org)
        for number in range(0, 20, 2):
            assert applied(client) == applied(elsewhere) == applied(client) == number
            record(elsewhere, number)
            assert applied(client) == number + 1
            record(client, number + 1)
            assert applied(elsewhere) == number + 2


def test_the_same_answer_comes_with_the_same_head_and_an_id_of_its_own(server: Server) -> None:
    client = server.client()
    first, second = client.get(SUMMARY), client.get(SUMMARY)
    assert first.content == second.content
    assert first.headers.keys() == second.headers.keys()
    assert second.headers["content-type"] == "application/json"
    assert second.headers["content-length"] == str(len(second.content))
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


def test_each_organization_is_answered_with_its_own_counts(server: Server) -> None:
    ours, theirs = server.client(), server.client()
    record(ours, 1)
    assert [applied(client) for client in (ours, theirs, ours, theirs)] == [1, 0, 1, 0]


def test_each_question_has_an_answer_of_its_own(server: Server) -> None:
    client = server.client()
    record(client, 1)
    assert applied(client) == 1
    assert applied(client, **{"from": "2026-04-01"}) == 0
    assert client.get(SUMMARY.replace("ins_1", "ins_2")).json()["applied_replies"] == 0
    assert client.get(SUMMARY.replace("instruction", "action")).json()["applied_replies"] == 0
    compared = client.get(SUMMARY, params=WINDOW | {"compare": "previous"}).json()
    assert compared["previous"]["applied_replies"] == 0
    assert "previous" not in client.get(SUMMARY, params=WINDOW).json()


def test_a_key_without_the_scopes_is_refused_what_another_was_answered(server: Server) -> None:
    org = server.new_org()
    allowed = server.client(org, ["training:read", "chat-sessions:read"])
    lacking = server.client(org, ["actions:read", "chat-sessions:read"])
    assert applied(allowed) == applied(server.client(org)) == 0
    assert lacking.get(SUMMARY).status_code == 403
    assert allowed.get(SUMMARY).status_code == 200


def test_a_key_that_is_revoked_or_made_elsewhere_counts_with_the_next_request(
    server: Server,
) -> None:
    org = server.new_org()
    unknown = server.client(org, key=f"apr_live_{'0' * 38}")
    key = server.new_key(org)
    client = server.client(key=key)
    assert applied(client) == applied(client) == 0
    assert unknown.get(SUMMARY).status_code == 401
    kept = server.store.find_key(digest(key))
    assert kept is not None
    server.store.revoke_key(org, kept.key_id, datetime.now(UTC))
    assert client.get(SUMMARY).status_code == 401
    assert applied(server.client(org)) == 0


def test_a_key_that_expires_does_so_without_any_commit(server: Server) -> None:
    org = server.new_org()
    ends_at = datetime.now(UTC) + timedelta(seconds=1.5)
    client = server.client(key=server.new_key(org, expires_at=ends_at))
    status, asked_at = 200, datetime.now(UTC)
    while asked_at < ends_at:
        asked_at = datetime.now(UTC)
        status = client.get(SUMMARY).status_code
    assert client.get(SUMMARY).status_code == 401
    assert status in (200, 401)


def test_an_answer_that_is_kept_is_spent_from_the_limit_as_any(tmp_path: Path) -> None:
    with running_server(tmp_path, standard_limit=3) as server:
        client = server.client()
        assert [client.get(SUMMARY).status_code for _ in range(4)] == [200, 200, 200, 429]


def test_another_file_in_the_place_of_the_store_answers_for_itself(tmp_path: Path) -> None:
    restored = tmp_path / "restored"
    with running_server(tmp_path / "data") as server:
        org = server.new_org()
        key = server.new_key(org)
        client = server.client(key=key)
        kept = server.store.find_key(digest(key))
        assert kept is not None
        with closing(open_store(restored)) as store:
            store.add_key(kept, digest(key))
            at = datetime(2026, 3, 1, tzinfo=UTC)
            used = Reply("r", "s", at, Available(), Applied(instruction=["ins_1"]))
            store.record([Recording(org, [used])])
        assert applied(client) == applied(client) == 0
        for suffix in ("-wal", "-shm"):
            (server.data / f"{FILE}{suffix}").unlink()
        os.replace(restored / FILE, server.data / FILE)  # noqa: PTH105 (as a restore does)
        assert applied(client) == 1
