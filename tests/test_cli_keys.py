"""``applyrate keys``: a key that was made opens the API, and one that was revoked does not."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from applyrate.keys import SCOPES, is_well_formed
from tests.commands import answer, run
from tests.servers import Server


def ask(server: Server, key: str, path: str) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.get(server.url + path, headers=headers).status_code


def test_a_quiet_creation_prints_the_key_alone(server: Server) -> None:
    result = run(
        *("keys", "create", "--org", server.new_org(), "--name", "ci", "--data", server.data),
        *("--scope", "training:read", "--scope", "chat-sessions:read", "--quiet"),
    )
    key = result.stdout.removesuffix("\n")
    assert is_well_formed(key)
    assert ask(server, key, "/resource-usage/instruction") == 200
    assert ask(server, key, "/resource-usage/action") == 403


def test_without_scopes_a_key_has_full_access(server: Server) -> None:
    org = server.new_org()
    created = answer("keys", "create", "--org", org, "--name", "all", "--data", server.data)
    assert created["details"]["scopes"] is None
    assert ask(server, created["key"], "/keys") == 200


def test_a_key_belongs_to_its_organization(server: Server) -> None:
    org = server.new_org()
    created = answer("keys", "create", "--org", org, "--name", "mine", "--data", server.data)
    headers = {"Authorization": f"Bearer {created['key']}"}
    listed = httpx.get(f"{server.url}/keys", headers=headers).json()["items"]
    assert [key["name"] for key in listed] == ["mine"]
    assert answer("keys", "list", "--org", org, "--data", server.data)["items"] == listed


def test_a_revoked_key_opens_nothing(server: Server) -> None:
    org = server.new_org()
    where = ("--org", org, "--data", server.data)
    created = answer("keys", "create", "--name", "old", *where)
    assert ask(server, created["key"], "/keys") == 200
    result = run("keys", "revoke", created["details"]["key_id"], *where)
    assert result.exit_code == 0
    assert ask(server, created["key"], "/keys") == 401
    again = answer("keys", "revoke", created["details"]["key_id"], *where)
    assert again["revoked_at"] is not None


def test_a_key_of_another_organization_cannot_be_revoked(server: Server) -> None:
    org = server.new_org()
    created = answer("keys", "create", "--name", "mine", "--org", org, "--data", server.data)
    key_id = created["details"]["key_id"]
    result = run("keys", "revoke", key_id, "--org", server.new_org(), "--data", server.data)
    assert result.exit_code == 1
    assert key_id in result.stderr
    assert ask(server, created["key"], "/keys") == 200


def test_an_expiry_is_an_iso_8601_date_or_date_time(server: Server) -> None:
    where = ("--org", server.new_org(), "--data", server.data)
    later = datetime.now(UTC) + timedelta(days=400)
    for text, expires_at in (
        (f"{later:%Y-%m-%d}", f"{later:%Y-%m-%d}T00:00:00Z"),
        (f"{later:%Y-%m-%dT%H:%M:%S}+00:00", f"{later:%Y-%m-%dT%H:%M:%S}Z"),
    ):
        created = answer("keys", "create", "--name", "brief", "--expires", text, *where)
        assert created["details"]["expires_at"] == expires_at


def test_the_table_tells_of_every_key(server: Server) -> None:
    where = ("--org", server.new_org(), "--data", server.data)
    created = answer("keys", "create", "--name", "[b]old[/b]", "--scope", "org:read", *where)
    answer("keys", "revoke", created["details"]["key_id"], *where)
    answer("keys", "create", "--name", "brief", "--expires", "2999-01-01", *where)
    shown = run("keys", "list", *where).stdout
    for words in (
        *("[b]old[/b]", created["details"]["key_id"], created["details"]["hint"], "org:read"),
        *("revoked", "brief", "full access", "2999-01-01"),
    ):
        assert words in shown
    assert created["key"] not in shown


def test_a_created_key_is_shown_with_what_it_opens(server: Server) -> None:
    org = server.new_org()
    scopes = [word for scope in SCOPES for word in ("--scope", scope)]
    result = run("keys", "create", "--name", "n", "--org", org, *scopes, "--data", server.data)
    assert is_well_formed(result.stdout.splitlines()[0])
    assert f"{', '.join(SCOPES)} to {org}" in " ".join(result.stdout.split())
    assert "not shown again" in result.stdout


def test_an_organization_without_keys_is_told_how_to_make_one(server: Server) -> None:
    shown = run("keys", "list", "--org", "[b]nobody[/b]", "--data", server.data).stdout
    assert "[b]nobody[/b] has no key" in shown
    assert "applyrate keys create" in shown


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--name", "n", "--scope", "all"], "'all' is not one of usage:write"),
        (["--name", "n", "--expires", "2020-01-01"], "--expires: '2020-01-01' has passed"),
        (["--name", "n", "--expires", "soon"], "--expires: 'soon' is not an ISO 8601"),
        (["--name", ""], "--name"),
        (["--name", "n" * 201], "--name"),
        ([], "--name"),
    ],
)
def test_a_wrong_call_makes_no_key(tmp_path: Path, options: list[str], words: str) -> None:
    result = run("keys", "create", *options, "--data", tmp_path / "data")
    assert result.exit_code == 2
    assert words in result.stderr
    assert not (tmp_path / "data").exists()


def test_errors_are_for_machines_too(tmp_path: Path) -> None:
    result = run("keys", "revoke", "key_1", "--data", tmp_path, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stderr)["error"] == "Not Found"
