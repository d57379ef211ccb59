"""Limits: so many requests a minute for each key."""

import asyncio
import re
import time
from collections.abc import Iterator

import httpx
import jwt
import pytest

from applyrate.api.limits import Rate, RateLimits
from applyrate.settings import Settings
from tests.servers import Server, running_server

SECRET = "a secret of the tests: long enough for any of the HMAC algorithms, 64"
REPLY = {"reply_id": "r", "session_id": "s", "replied_at": "2026-03-01T10:00:00Z"}


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that lets each key ask three times a minute and record five times."""
    data = tmp_path_factory.mktemp("limited") / "data"
    with running_server(data, standard_limit=3, streaming_limit=5, jwt_secret=SECRET) as server:
        yield server


def test_answers_tell_what_is_left_in_the_drafts_forms(limited: Server) -> None:
    client = limited.client()
    for remaining in (2, 1, 0):
        answer = client.get("/resource-usage/action")
        assert answer.status_code == 200
        assert answer.headers["ratelimit-policy"] == '"standard";q=3;w=60'
        told = re.fullmatch(r'"standard";r=(\d+);t=(\d+)', answer.headers["ratelimit"])
        assert told is not None
        assert int(told[1]) == remaining
        assert 55 <= int(told[2]) <= 60


def test_one_more_is_429_with_the_seconds_to_wait(limited: Server) -> None:
    client = limited.client()
    for _ in range(3):
        client.get("/resource-usage/action")
    answer = client.get("/resource-usage/action")
    assert answer.status_code == 429
    assert answer.json()["error"] == "Too Many Requests"
    seconds = answer.headers["retry-after"]
    assert 55 <= int(seconds) <= 60
    assert f"try again in {seconds} s" in answer.json()["message"]
    assert answer.headers["ratelimit-policy"] == '"standard";q=3;w=60'
    assert answer.headers["ratelimit"] == f'"standard";r=0;t={seconds}'


def test_recording_has_a_limit_of_its_own(limited: Server) -> None:
    client = limited.client()
    for _ in range(4):
        client.get("/keys")
    for remaining in (4, 3, 2, 1, 0):
        answer = client.post("/replies", json=REPLY)
        assert answer.status_code == 200
        assert answer.headers["ratelimit-policy"] == '"streaming";q=5;w=60'
        assert answer.headers["ratelimit"].startswith(f'"streaming";r={remaining};t=')
    assert client.post("/replies", json=REPLY).status_code == 429


def test_each_key_has_its_own_limit(limited: Server) -> None:
    org = limited.new_org()
    first, second = limited.client(org), limited.client(org)
    for _ in range(4):
        last = first.get("/keys")
    assert last.status_code == 429
    assert second.get("/keys").status_code == 200


def test_a_token_is_counted_by_its_organization_and_subject(limited: Server) -> None:
    def ask(org: str, subject: str) -> int:
        claims = {"org": org, "sub": subject, "scope": "*", "exp": time.time() + 60}
        token = jwt.encode(claims | {"jti": str(time.time())}, SECRET, "HS256")
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.get(f"{limited.url}/keys", headers=headers).status_code

    assert [ask("acme", "ann") for _ in range(4)] == [200, 200, 200, 429]
    assert ask("acme", "bob") == ask("other", "ann") == 200


def test_what_fails_counts_too_but_not_without_a_key(limited: Server) -> None:
    client = limited.client(scopes=["org:read"])
    statuses = [client.get("/resource-usage/action").status_code for _ in range(4)]
    assert statuses == [403, 403, 403, 429]
    anyone = [httpx.get(f"{limited.url}/keys").status_code for _ in range(5)]
    assert anyone == [401] * 5


def test_public_routes_have_no_limit(limited: Server) -> None:
    for path in ("/health/live", "/openapi.json"):
        for _ in range(5):
            answer = httpx.get(limited.url + path)
            assert answer.status_code == 200
            assert "ratelimit" not in answer.headers


def test_without_a_limit_no_header_speaks_of_one(client: httpx.Client) -> None:
    answers = [client.get("/keys") for _ in range(5)]
    assert all(answer.status_code == 200 for answer in answers)
    assert not any("ratelimit" in answer.headers for answer in answers)


def test_the_window_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    limits = RateLimits(Settings(standard_limit=2))

    def granted() -> bool:
        allowance = asyncio.run(limits.spend(Rate.STANDARD, "key"))
        assert allowance is not None
        return allowance.granted

    assert granted()
    now += 40
    assert [granted(), granted()] == [True, False]
    now += 21  # the first request is now older than a minute, the second is not
    assert [granted(), granted()] == [True, False]
    now += 40
    assert granted()
