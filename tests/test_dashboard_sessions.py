"""Signing in and out of the dashboard: a session is a key's, for twelve hours at most."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from applyrate.dashboard.attempts import MOST_FAILURES
from applyrate.dashboard.sessions import (
    LINK_LIFETIME,
    SESSION_LIFETIME,
    begin_session,
    end_session,
    find_session,
    make_link,
    open_link,
)
from applyrate.dashboard.tokens import Purpose, token_digest
from applyrate.keys import ApiKey, digest, issue_key
from applyrate.store import Store, open_store
from tests.dashboard import SESSION, Reader, reading, text_of
from tests.servers import Server, running_server

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path)
    yield store
    store.close()


@pytest.fixture
def key(store: Store) -> ApiKey:
    text, key = issue_key(
        "acme", "test", scopes=None, created_at=NOW, expires_at=NOW + timedelta(hours=1)
    )
    store.add_key(key, digest(text))
    return key


@pytest.fixture
def lasting(store: Store) -> ApiKey:
    text, key = issue_key("acme", "lasting", scopes=None, created_at=NOW)
    store.add_key(key, digest(text))
    return key


def test_a_session_lasts_twelve_hours(store: Store, lasting: ApiKey) -> None:
    token = begin_session(store, lasting, NOW)
    assert find_session(store, token, NOW + SESSION_LIFETIME - timedelta(seconds=1)) == lasting
    assert find_session(store, token, NOW + SESSION_LIFETIME) is None
    assert timedelta(hours=12) == SESSION_LIFETIME


def test_a_session_ends_with_its_key(store: Store, key: ApiKey, lasting: ApiKey) -> None:
    of_key, of_lasting = begin_session(store, key, NOW), begin_session(store, lasting, NOW)
    assert find_session(store, of_key, NOW + timedelta(hours=1)) is None
    store.revoke_key("acme", lasting.key_id, NOW)
    assert find_session(store, of_lasting, NOW) is None


def test_a_session_that_was_ended_is_nothing_any_more(store: Store, lasting: ApiKey) -> None:
    token = begin_session(store, lasting, NOW)
    end_session(store, token)
    assert find_session(store, token, NOW) is None


def test_a_new_session_takes_the_place_of_the_old_one(store: Store, lasting: ApiKey) -> None:
    old = begin_session(store, lasting, NOW)
    new = begin_session(store, lasting, NOW, ended=old)
    assert find_session(store, old, NOW) is None
    assert find_session(store, new, NOW) == lasting


def test_expired_sessions_are_forgotten(store: Store, lasting: ApiKey) -> None:
    old = begin_session(store, lasting, NOW)
    begin_session(store, lasting, NOW + SESSION_LIFETIME)
    assert not store.end_session(token_digest(old, Purpose.SESSION))


def test_what_is_stored_opens_nothing(store: Store, lasting: ApiKey, tmp_path: Path) -> None:
    token = begin_session(store, lasting, NOW)
    link = make_link(store, lasting, NOW)
    store.close()
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert token.encode() not in stored
    assert link.encode() not in stored
    assert len(token) >= 43  # 256 bits


def test_a_link_opens_once_and_within_five_minutes(store: Store, lasting: ApiKey) -> None:
    link = make_link(store, lasting, NOW)
    session = open_link(store, link, NOW + LINK_LIFETIME - timedelta(seconds=1))
    assert session is not None
    assert find_session(store, session, NOW) == lasting
    assert open_link(store, link, NOW) is None
    assert open_link(store, make_link(store, lasting, NOW), NOW + LINK_LIFETIME) is None
    assert timedelta(minutes=5) == LINK_LIFETIME


def test_a_link_is_no_session_and_a_session_no_link(store: Store, lasting: ApiKey) -> None:
    link, session = make_link(store, lasting, NOW), begin_session(store, lasting, NOW)
    assert find_session(store, link, NOW) is None
    assert open_link(store, session, NOW) is None


@pytest.fixture
def reader(server: Server) -> Iterator[Reader]:
    with reading(server) as reader:
        yield reader


def test_whoever_is_not_signed_in_is_led_to_the_form_and_back(
    server: Server, reader: Reader
) -> None:
    led = reader.open("/dashboard/keys?from=2026-03-01&to=2026-03-31", follow=False)
    assert led.status_code == 303
    form = reader.open(led.headers["location"])
    assert form.status_code == 200
    key = server.new_key(server.new_org())
    answer = reader.submit(form, "/dashboard/sign-in", {"key": key}, follow=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/dashboard/keys?from=2026-03-01&to=2026-03-31"
    assert reader.open("/dashboard/keys", follow=False).status_code == 200
    assert reader.open("/dashboard/sign-in", follow=False).headers["location"] == "/dashboard"


def test_the_cookie_is_for_our_pages_alone(server: Server, reader: Reader) -> None:
    key = server.new_key(server.new_org())
    form = reader.open("/dashboard/sign-in")
    answer = reader.submit(form, "/dashboard/sign-in", {"key": key}, follow=False)
    (cookie,) = (
        set_cookie
        for set_cookie in answer.headers.get_list("set-cookie")
        if set_cookie.startswith(SESSION)
    )
    flags = {flag.strip().lower() for flag in cookie.split(";")[1:]}
    assert flags >= {"httponly", "samesite=lax", "path=/dashboard", "max-age=43200"}
    assert "secure" not in flags
    behind_tls = httpx.get(
        f"{server.url}/dashboard/sign-in", headers={"X-Forwarded-Proto": "https"}
    )
    assert "secure" in behind_tls.headers["set-cookie"].lower()


def test_each_sign_in_makes_another_session_and_ends_the_one_before(server: Server) -> None:
    org = server.new_org()
    with reading(server, server.new_key(org)) as reader:
        before = reader.http.cookies[SESSION]
        form = httpx.get(f"{server.url}/dashboard/sign-in")
        visitor = form.cookies["applyrate_visitor"]
        reader.http.cookies.set("applyrate_visitor", visitor, path="/dashboard")
        reader.submit(form, "/dashboard/sign-in", {"key": server.new_key(org)})
        after = reader.http.cookies[SESSION]
        assert after != before
        old = httpx.get(f"{server.url}/dashboard/keys", cookies={SESSION: before})
        assert old.status_code == 303


def test_signing_out_ends_the_session_everywhere(server: Server) -> None:
    with reading(server, server.new_key(server.new_org())) as reader:
        token = reader.http.cookies[SESSION]
        page = reader.open("/dashboard/keys")
        left = reader.submit(page, "/dashboard/sign-out", {})
        assert left.url.path == "/dashboard/sign-in"
        assert SESSION not in reader.http.cookies
        stolen = httpx.get(f"{server.url}/dashboard/keys", cookies={SESSION: token})
        assert stolen.status_code == 303


def test_a_revoked_key_signs_its_readers_out(server: Server) -> None:
    org = server.new_org()
    with reading(server, server.new_key(org)) as reader:
        assert reader.open("/dashboard/keys", follow=False).status_code == 200
        (key,) = server.store.keys(org)
        server.store.revoke_key(org, key.key_id, datetime.now(UTC))
        assert reader.open("/dashboard/keys", follow=False).status_code == 303
        assert reader.sign_in("apr_live_").status_code == 401


def test_a_part_of_a_page_is_told_to_load_the_sign_in_once_the_session_has_ended(
    reader: Reader,
) -> None:
    answer = reader.http.get("/dashboard/keys", headers={"HX-Request": "true"})
    assert answer.status_code == 401
    assert answer.headers["hx-redirect"] == "/dashboard/sign-in"


def test_a_link_signs_in_once(server: Server, reader: Reader) -> None:
    org = server.new_org()
    server.new_key(org)
    (key,) = server.store.keys(org)
    link = make_link(server.store, key, datetime.now(UTC))
    opened = reader.open(f"/dashboard/open/{link}", follow=False)
    assert (opened.status_code, opened.headers["location"]) == (303, "/dashboard")
    assert reader.open("/dashboard/keys", follow=False).status_code == 200
    with reading(server) as another:
        again = another.open(f"/dashboard/open/{link}", follow=False)
        assert again.status_code == 401
        assert "opened before" in text_of(again)
        assert SESSION not in another.http.cookies


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        ("", "Enter a key."),
        ("apr_live_mistyped", "mistyped"),
        ("apr_live_0Zk3Tq8vXn5LbW2rYd7HsJ4cMf9PgAe600000", "mistyped"),
    ],
)
def test_what_is_no_key_is_refused_and_never_shown_again(
    tmp_path: Path, key: str, complaint: str
) -> None:
    with running_server(tmp_path / "data") as server, reading(server) as reader:
        refused = reader.sign_in(key)
        assert refused.status_code == 401
        assert complaint in text_of(refused)
        assert not key or key not in refused.text
        assert SESSION not in reader.http.cookies


def test_whoever_fails_too_often_has_to_wait(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server, reading(server) as reader:
        for _ in range(MOST_FAILURES):
            assert reader.sign_in("apr_live_wrong").status_code == 401
        for key in ("apr_live_wrong", server.new_key("acme")):
            refused = reader.sign_in(key)
            assert refused.status_code == 429
            assert 1 <= int(refused.headers["retry-after"]) <= 300
        assert "10 sign-ins from this address failed" in text_of(refused)
        assert reader.open("/dashboard/open/guessed").status_code == 429


def test_a_session_opens_no_route_of_the_api(server: Server) -> None:
    with reading(server, server.new_key(server.new_org())) as reader:
        cookies = {SESSION: reader.http.cookies[SESSION]}
        assert httpx.get(f"{server.url}/keys", cookies=cookies).status_code == 401


def test_a_session_is_a_use_of_its_key(server: Server) -> None:
    org = server.new_org()
    with reading(server, server.new_key(org)):
        (key,) = server.store.keys(org)
        assert key.last_used_at is not None
