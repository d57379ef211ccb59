"""Every route by every kind of caller: let in are those who may, and nobody else.

The rows are those of the document of a running service, so a route that is new has to be told here
before anything passes. ``pytest -s`` shows how many cells there are.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import httpx
import jwt
import pytest

from applyrate.api.app import ROUTES
from applyrate.api.openapi import operation_of
from applyrate.dashboard.admission import OPEN
from applyrate.dashboard.routes import PAGES
from applyrate.keys import SCOPES, generate_key
from tests.asks import REPLY, Ask, Scopes, asks
from tests.dashboard import SESSION, reading
from tests.servers import Server
from tests.tokens import Issuer, claims, forgeries, hs256, trusting_server

EVERY = frozenset(SCOPES)
CANARY = "seen by nobody else"


class Caller(NamedTuple):
    """Somebody who asks; ``held`` are the scopes that are proved, None where nothing is."""

    name: str
    headers: dict[str, str] | list[tuple[str, str]] | None = None
    held: Scopes | None = None
    query: str = ""


class Organization(NamedTuple):
    """One with something of everything in it, and a key that may be revoked."""

    name: str
    asks: list[Ask]


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Server]:
    with trusting_server(tmp_path_factory.mktemp("trusting"), issuer) as server:
        yield server


@pytest.fixture(scope="module")
def acme(trusting: Server) -> Organization:
    org = trusting.new_org()
    client = trusting.client(org)
    assert client.post("/replies", json={**REPLY, "last_message": CANARY}).json()["accepted"] == 1
    for kind in ("action", "instruction", "knowledge"):
        named = {"type": kind, "id": "res", "name": CANARY}
        assert client.put("/resources", json=named).status_code == 200
    spare = client.post("/keys", json={"name": CANARY}).json()["key_id"]
    return Organization(org, asks(spare))


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


def answers(server: Server, callers: Iterable[Caller], rows: Iterable[Ask]) -> "list[Cell]":
    """What each of the callers is answered to each of the requests."""
    rows = list(rows)
    with httpx.Client(base_url=server.url, timeout=60) as client:
        return [answer(client, caller, ask) for caller in callers for ask in rows]


class Cell(NamedTuple):
    """A caller's request and its answer."""

    caller: Caller
    ask: Ask
    status: int
    text: str

    def __str__(self) -> str:
        return f"{self.caller.name}: {self.ask.method} {self.ask.target} is {self.status}"


def answer(client: httpx.Client, caller: Caller, ask: Ask) -> Cell:
    target = ask.target + (("&" if "?" in ask.target else "?") + caller.query) * bool(caller.query)
    headers = httpx.Headers(caller.headers, encoding="latin-1")
    with client.stream(ask.method, target, headers=headers, json=ask.body) as got:
        is_endless = got.headers.get("content-type", "").startswith("text/event-stream")
        return Cell(caller, ask, got.status_code, "" if is_endless else got.read().decode())


def check(cells: Sequence[Cell]) -> None:
    """Fail for each cell that is not as its row says."""
    wrong = [str(cell) for cell in cells if cell.status != cell.ask.expected(cell.caller.held)]
    assert not wrong, "\n".join(wrong)
    callers = len({cell.caller.name for cell in cells})
    print(f"\n{len(cells):,} cells: {len(cells) // callers} requests by {callers} callers")


def test_every_operation_has_its_rows(trusting: Server, acme: Organization) -> None:
    document = httpx.get(f"{trusting.url}/openapi.json").json()
    described = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
    }
    hidden = {
        f"{method} {re.sub(r':str', '', path)}"
        for route in ROUTES
        if operation_of(route).hidden
        for path in route.paths
        for method in route.http_methods
    }
    assert {ask.operation for ask in acme.asks} == described | hidden


def test_the_rows_say_what_the_document_says_of_who_may_ask(
    trusting: Server, acme: Organization
) -> None:
    document = httpx.get(f"{trusting.url}/openapi.json").json()
    for ask in acme.asks:
        method, _, path = ask.operation.partition(" ")
        described = document["paths"].get(path, {}).get(method.lower(), {"security": []})
        assert (described.get("security") == []) == (ask.opens is None), ask
        told = set(re.findall(r"`([a-z-]+:(?:read|write))`", described.get("description", "")))
        if ask.opens and told and ask.operation != "POST /keys":
            assert frozenset.union(*ask.opens) <= told


def test_whoever_proves_nothing_is_let_in_nowhere(trusting: Server, acme: Organization) -> None:
    check(answers(trusting, strangers(trusting, acme.name), acme.asks))


def strangers(server: Server, org: str) -> list[Caller]:
    """Callers without a key that is one, or with one where none is read."""
    key, now = server.new_key(org), datetime.now(UTC)
    revoked, known = server.new_key(org), {each.key_id for each in server.store.keys(org)}
    expired = server.new_key(org, expires_at=now - timedelta(seconds=1))
    spent = server.new_key(org)
    (newest,) = [each for each in server.store.keys(org) if each.hint == spent[-4:]]
    assert newest.key_id not in known
    server.store.revoke_key(org, newest.key_id, now)
    basic = base64.b64encode(f"key:{key}".encode()).decode()
    with reading(server, revoked) as reader:
        session = reader.http.cookies[SESSION]
    return [
        Caller("nobody"),
        Caller("an empty header", {"Authorization": ""}),
        Caller("a scheme alone", {"Authorization": "Bearer"}),
        Caller("a key alone", {"Authorization": key}),
        Caller("another scheme", {"Authorization": f"Basic {basic}"}),
        Caller("an unknown scheme", {"Authorization": f"Token {key}"}),
        Caller("two keys", [("Authorization", f"Bearer {key}")] * 2),
        Caller(
            "a key in another header", {"X-Api-Key": key, "Proxy-Authorization": f"Bearer {key}"}
        ),
        Caller("a key as a cookie", {"Cookie": f"{SESSION}={key}; Authorization=Bearer {key}"}),
        Caller("a session of the dashboard", {"Cookie": f"{SESSION}={session}"}),
        Caller("a session as a key", bearer(session)),
        Caller("a key in the query", query=f"key={key}&access_token={key}&api_key={key}"),
        Caller("a word", bearer("nonsense")),
        Caller("a prefix", bearer("apr_live_")),
        Caller("zeros", bearer("apr_live_" + "0" * 38)),
        Caller("a mistyped key", bearer(key[:12] + key[13] + key[12] + key[14:])),
        Caller("a cut key", bearer(key[:-1])),
        Caller("a key with more", bearer(f"{key}0")),
        Caller("a key in capitals", bearer(key.upper())),
        Caller("a key and a wildcard", bearer(f"{key[:-1]}%")),
        Caller("an unknown key", bearer(generate_key())),
        Caller("a long text", bearer("apr_live_" + "x" * 20_000)),
        Caller("dots", bearer("." * 20_000)),
        Caller("bytes", {"Authorization": "Bearer apr_live_\xe9\xff"}),
        Caller("a revoked key", bearer(spent)),
        Caller("an expired key", bearer(expired)),
    ]


def test_no_forged_token_is_let_in_anywhere(
    trusting: Server, acme: Organization, issuer: Issuer
) -> None:
    forged = forgeries(issuer, org=acme.name, scope="*")
    callers = [Caller(name, bearer(token)) for name, token in forged.items()]
    check(answers(trusting, callers, acme.asks))


def test_where_no_tokens_are_taken_no_token_is_let_in(server: Server, issuer: Issuer) -> None:
    tokens = {
        "a good one": hs256(scope="*"),
        "one of RS256": jwt.encode(claims(scope="*"), issuer.rsa, "RS256"),
        **forgeries(issuer, scope="*"),
    }
    callers = [Caller(name, bearer(token)) for name, token in tokens.items()]
    check(answers(server, callers, asks("key_none")))


def test_each_set_of_scopes_lets_in_where_it_is_enough(
    trusting: Server, acme: Organization
) -> None:
    sets = {
        *(frozenset({scope}) for scope in SCOPES),
        *(EVERY - {scope} for scope in SCOPES),
        *(scopes for ask in acme.asks for scopes in ask.opens or ()),
        EVERY,
    }
    callers = [
        caller
        for held in sorted(sets, key=sorted)
        for caller in (
            Caller(
                f"a key of {sorted(held)}", bearer(trusting.new_key(acme.name, sorted(held))), held
            ),
            Caller(
                f"a token of {sorted(held)}",
                bearer(hs256(org=acme.name, scope=" ".join(sorted(held)))),
                held,
            ),
        )
    ]
    callers += [
        Caller("a key of full access", bearer(trusting.new_key(acme.name)), EVERY),
        Caller("a token of full access", bearer(hs256(org=acme.name, scope="*")), EVERY),
        Caller("a token without a scope", bearer(hs256(org=acme.name, scope=None)), frozenset()),
        Caller(
            "a token of no such scopes",
            bearer(hs256(org=acme.name, scope="** *x x* org ORG:READ training:*")),
            frozenset(),
        ),
    ]
    check(answers(trusting, callers, acme.asks))


def test_a_caller_of_another_organization_finds_nothing_and_changes_nothing(
    trusting: Server, acme: Organization
) -> None:
    org = trusting.new_org()
    before = known_of(trusting, acme.name)
    empty = [ask for ask in acme.asks if ask.method in ("GET", "DELETE")]
    for rows in (empty, acme.asks):
        callers = [
            Caller("a key", bearer(trusting.new_key(org)), EVERY),
            Caller("a token", bearer(hs256(org=org, scope="*")), EVERY),
        ]
        for cell in answers(trusting, callers, rows):
            assert CANARY not in cell.text, cell
            if rows is empty:
                assert cell.status == (cell.ask.elsewhere or cell.ask.status), cell
    assert known_of(trusting, acme.name) == before


def known_of(server: Server, org: str) -> list[str]:
    """What an organization's own key sees, but for what looking itself changes."""
    (key,) = [Caller("its own", bearer(server.new_key(org)), EVERY)]
    seen = [
        cell.text
        for cell in answers(server, [key], asks("key_none"))
        if cell.ask.operation.startswith("GET")
        and cell.ask.target not in ("/keys", "/audit", "/metrics")
    ]
    kept = [
        (each.key_id, each.name, each.revoked_at)
        for each in server.store.keys(org)
        if each.name == CANARY
    ]
    return [*seen, str(kept)]


def test_no_credential_of_the_api_opens_a_page(trusting: Server, acme: Organization) -> None:
    key, token = trusting.new_key(acme.name), hs256(org=acme.name, scope="*")
    pages = [
        Ask(f"{method} {path}", re.sub(r"\{\w+:\w+\}", "anything", path), (EVERY,), status=200)
        for page in PAGES
        if not page.opt.get(OPEN)
        for path in page.paths
        for method in page.http_methods - {"HEAD", "OPTIONS"}
    ]
    callers = [
        Caller("a key", bearer(key)),
        Caller("a token", bearer(token)),
        Caller("a key as a session", {"Cookie": f"{SESSION}={key}"}),
        Caller("a token as a session", {"Cookie": f"{SESSION}={token}"}),
        Caller("a key in the query", query=f"key={key}&token={key}"),
    ]
    for cell in answers(trusting, callers, pages):
        assert cell.status == 303, cell
        assert CANARY not in cell.text
