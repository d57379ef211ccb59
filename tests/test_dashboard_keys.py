"""The page of keys: whoever may make one makes it there, sees it once, and revokes it."""

import re
from datetime import UTC, datetime, timedelta

import httpx

from applyrate.dashboard.keys import SCOPES_TOLD
from applyrate.keys import SCOPES, digest
from tests.dashboard import Reader, reading, text_of
from tests.servers import Server

PATH = "/dashboard/keys"


def shown_key(page: httpx.Response) -> str:
    (key,) = set(re.findall(r"apr_live_\w{38}", page.text))
    return str(key)


def make(reader: Reader, **fields: str | list[str]) -> httpx.Response:
    return reader.submit(reader.open(PATH), PATH, fields)


def test_each_scope_is_offered_and_told_of() -> None:
    assert tuple(SCOPES_TOLD) == SCOPES


def test_a_key_is_made_with_its_scopes_and_shown_once(server: Server) -> None:
    org = server.new_org()
    with reading(server, server.new_key(org)) as reader:
        made = make(reader, name="reporting", scope=["training:read", "chat-sessions:read"])
        assert made.status_code == 200
        key = shown_key(made)
        assert key not in reader.open(PATH).text
    known = server.store.find_key(digest(key))
    assert known is not None
    assert (known.org, known.name) == (org, "reporting")
    assert known.scopes == ("chat-sessions:read", "training:read")
    assert known.expires_at is None
    asked = server.client(key=key).get("/resource-usage/instruction")
    assert asked.status_code == 200


def test_a_key_may_have_full_access_and_a_last_day(server: Server) -> None:
    today = datetime.now(UTC).date()
    with reading(server, server.new_key(server.new_org())) as reader:
        made = make(reader, name="all", access="full", expires=today.isoformat())
        known = server.store.find_key(digest(shown_key(made)))
    assert known is not None
    assert known.scopes is None
    assert known.expires_at is not None
    assert known.expires_at.date() == today + timedelta(days=1)
    assert known.valid_at(datetime.now(UTC))


def test_what_is_wrong_in_the_form_is_said_and_the_rest_of_it_kept(server: Server) -> None:
    org = server.new_org()
    with reading(server, server.new_key(org)) as reader:
        for fields, complaint in (
            ({"name": "n", "access": "some"}, "scopes: none is chosen"),
            ({"name": " ", "scope": "org:read"}, "name: empty"),
            ({"name": "n" * 201, "scope": "org:read"}, "name: longer than 200 characters"),
            ({"name": "n", "scope": "all"}, "scopes: 'all' is not one of"),
            ({"name": "n", "scope": "org:read", "expires": "soon"}, "expires: 'soon' is not a"),
            ({"name": "n", "scope": "org:read", "expires": "2026-01-01"}, "is past"),
            ({"name": "n", "scope": "org:read", "access": "no"}, "access: 'no' is not one of"),
        ):
            refused = make(reader, **fields)
            assert refused.status_code == 400
            assert complaint in text_of(refused)
        assert 'value="org:read" checked' in refused.text
        assert 'value="n"' in refused.text
    assert len(server.store.keys(org)) == 1


def test_a_key_gives_no_more_than_it_has(server: Server) -> None:
    org = server.new_org()
    key = server.new_key(org, ["org:read", "org:write", "training:read"])
    with reading(server, key) as reader:
        page = reader.open(PATH)
        offered = re.findall(r'name="scope" value="([^"]+)"', page.text)
        assert offered == ["training:read", "org:read", "org:write"]
        assert 'value="full"' not in page.text
        for fields in ({"access": "full"}, {"scope": "actions:read"}):
            refused = reader.submit(page, PATH, {"name": "more", **fields})
            assert refused.status_code == 403
        assert reader.submit(page, PATH, {"name": "less", "scope": "org:read"}).status_code == 200
    assert len(server.store.keys(org)) == 2


def test_the_list_says_of_each_key_what_is_known(server: Server) -> None:
    org = server.new_org()
    server.new_key(org, ["usage:write"], expires_at=datetime.now(UTC) - timedelta(days=1))
    with reading(server, server.new_key(org)) as reader:
        told = text_of(reader.open(PATH))
    assert "active yours everything" in told
    assert "just now" in told
    assert "expired usage:write" in told
    assert "never" in told


def test_a_key_is_revoked_after_a_second_look(server: Server) -> None:
    org = server.new_org()
    other = server.new_key(org, ["usage:write"])
    with reading(server, server.new_key(org)) as reader:
        page = reader.open(PATH)
        assert "For good?" in page.text
        known = server.store.find_key(digest(other))
        assert known is not None
        after = reader.submit(page, f"{PATH}/{known.key_id}/revoke", {})
        assert (after.status_code, after.url.path) == (200, PATH)
        assert "revoked" in text_of(after)
    known = server.store.find_key(digest(other))
    assert known is not None
    assert known.revoked_at is not None


def test_revoking_ones_own_key_signs_out(server: Server) -> None:
    org = server.new_org()
    with reading(server, server.new_key(org)) as reader:
        page = reader.open(PATH)
        assert "This signs you out." in page.text
        (key,) = server.store.keys(org)
        after = reader.submit(page, f"{PATH}/{key.key_id}/revoke", {})
        assert after.url.path == "/dashboard/sign-in"


def test_nobody_revokes_the_key_of_another_organization(server: Server) -> None:
    other = server.new_org()
    server.new_key(other)
    (key,) = server.store.keys(other)
    with reading(server, server.new_key(server.new_org())) as reader:
        page = reader.open(PATH)
        assert key.hint not in page.text
        (proof,) = set(re.findall(r'name="csrf_token" value="(\w+)"', page.text))
        refused = reader.http.post(f"{PATH}/{key.key_id}/revoke", data={"csrf_token": proof})
        assert refused.status_code == 404
    (key,) = server.store.keys(other)
    assert key.revoked_at is None


def test_whoever_may_only_look_changes_nothing(server: Server) -> None:
    org = server.new_org()
    with reading(server, server.new_key(org, ["org:read"])) as reader:
        page = reader.open(PATH)
        assert page.status_code == 200
        assert "Make the key" not in page.text
        assert "Revoke" not in page.text
        (proof,) = set(re.findall(r'name="csrf_token" value="(\w+)"', page.text))
        (key,) = server.store.keys(org)
        for place in (PATH, f"{PATH}/{key.key_id}/revoke"):
            fields = {"csrf_token": proof, "name": "n", "scope": "org:read"}
            refused = reader.http.post(place, data=fields)
            assert refused.status_code == 403
            assert "org:write" in text_of(refused)
    assert len(server.store.keys(org)) == 1
