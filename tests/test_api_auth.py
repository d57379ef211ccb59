"""Who may ask: keys and tokens, and what is told to whoever may not.

Which callers each route lets in, forgers among them, is in test_api_callers.
"""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import jwt
import pytest

from applyrate.api.jwks import parse_key_set
from tests.servers import Server, running_server
from tests.tokens import Issuer, claims, forge, hs256, trusting_server

ACTION = "/resource-usage/action/look/usage-summary"
INSTRUCTION = "/resource-usage/instruction/ins/usage-summary"
REPLY = {"reply_id": "r", "session_id": "s", "replied_at": "2026-03-01T10:00:00Z"}


def ask(server: Server, authorization: str | None, path: str = ACTION) -> httpx.Response:
    headers = {} if authorization is None else {"Authorization": authorization}
    return httpx.get(server.url + path, headers=headers)


def test_a_missing_key_is_401_and_the_way_out_is_told(server: Server) -> None:
    answer = ask(server, None)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json() == {
        "statusCode": 401,
        "message": "Authorization: missing; send `Authorization: Bearer <key>`",
        "error": "Unauthorized",
    }


def test_the_schemes_name_has_no_case(server: Server) -> None:
    key = server.new_key(server.new_org())
    for scheme in ("Bearer", "bearer", "BEARER"):
        assert ask(server, f"{scheme} {key}").status_code == 200
    answer = httpx.get(server.url + ACTION, headers=[("Authorization", f"Bearer {key}")] * 2)
    assert answer.status_code == 401


def test_a_mistyped_key_is_told_from_an_unknown_one(server: Server) -> None:
    key = server.new_key(server.new_org())
    swapped = key[:12] + key[13] + key[12] + key[14:]
    assert swapped != key
    assert "mistyped" in ask(server, f"Bearer {swapped}").json()["message"]


def test_a_key_stops_working_at_the_next_request_whoever_revokes_it(server: Server) -> None:
    org = server.new_org()
    client = server.client(org)
    assert client.get(ACTION).status_code == 200
    (known,) = server.store.keys(org)
    server.store.revoke_key(org, known.key_id, datetime.now(UTC))
    assert client.get(ACTION).status_code == 401


def test_a_key_expires(server: Server) -> None:
    org = server.new_org()
    past, future = (datetime.now(UTC) + timedelta(seconds=s) for s in (-1, 60))
    assert server.client(key=server.new_key(org, expires_at=past)).get(ACTION).status_code == 401
    assert server.client(key=server.new_key(org, expires_at=future)).get(ACTION).status_code == 200


def test_403_names_what_the_key_lacks(server: Server) -> None:
    answer = server.client(scopes=["org:read"]).get(INSTRUCTION)
    assert answer.json() == {
        "statusCode": 403,
        "message": "the key lacks the scope training:read and chat-sessions:read",
        "error": "Forbidden",
    }


def test_the_public_routes_need_no_key(server: Server) -> None:
    for path in ("/health/live", "/openapi.json", "/docs"):
        assert httpx.get(server.url + path).status_code == 200
        assert ask(server, "Bearer nonsense", path).status_code == 200


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Server]:
    with trusting_server(tmp_path_factory.mktemp("trusting"), issuer) as server:
        yield server


def status(server: Server, token: str, path: str = ACTION) -> int:
    return ask(server, f"Bearer {token}", path).status_code


def test_a_token_of_each_algorithm_opens(trusting: Server, issuer: Issuer) -> None:
    for token in (
        hs256(),
        jwt.encode(claims(), issuer.rsa, "RS256", {"kid": "rsa"}),
        jwt.encode(claims(), issuer.ec, "ES256", {"kid": "ec"}),
        jwt.encode(claims(), issuer.ed, "EdDSA", {"kid": "ed"}),
        jwt.encode(claims(), issuer.rsa, "RS256"),
        jwt.encode(claims(), issuer.ed, "EdDSA"),
    ):
        assert status(trusting, token) == 200


def test_a_token_acts_for_its_organization_with_its_scopes(trusting: Server) -> None:
    full, other = (
        httpx.Client(base_url=trusting.url, headers={"Authorization": f"Bearer {token}"})
        for token in (hs256(scope="*"), hs256(org="other", scope=["*"]))
    )
    with full, other:
        assert (
            full.post("/replies", json=REPLY | {"applied": {"action": ["look"]}}).status_code == 200
        )
        assert full.get(ACTION).json()["applied_replies"] == 1
        assert other.get(ACTION).json()["applied_replies"] == 0
        assert full.get("/keys").status_code == 200
    listed = hs256(scope=["training:read", "chat-sessions:read"])
    assert status(trusting, listed, INSTRUCTION) == 200
    assert status(trusting, listed) == 403
    assert status(trusting, hs256(scope=None)) == 403
    assert status(trusting, hs256(scope="*x unknown")) == 403


def test_a_token_that_is_refused_is_told_why(trusting: Server) -> None:
    for changes, why in (
        ({"exp": 1_000_000_000}, "Signature has expired"),
        ({"org": None}, "its claim `org` names no organization"),
        ({"scope": 5}, "its claim `scope` is no list of scopes"),
    ):
        answer = ask(trusting, f"Bearer {hs256(**changes)}")
        assert answer.status_code == 401
        assert answer.json()["message"] == f"the token is not valid: {why}"


def test_without_a_setting_no_token_opens(server: Server, issuer: Issuer) -> None:
    for token in (
        hs256(),
        forge({"alg": "HS256"}, b""),
        jwt.encode(claims(), issuer.rsa, "RS256"),
        forge({"alg": "none"}, None),
    ):
        assert status(server, token) == 401


def test_a_document_that_is_no_jwks_is_refused(issuer: Issuer) -> None:
    assert [key.key_id for key in parse_key_set(json.dumps(issuer.jwks()).encode())] == [
        "rsa",
        "ec",
        "ed",
    ]
    for document in (b"", b"x", b"[]", b"{}", b'{"keys": 5}', b'{"keys": ["x"]}', b"[" * 99_999):
        with pytest.raises(ValueError, match="not a JWKS"):
            parse_key_set(document)


class JwksServer(ThreadingHTTPServer):
    """A JWKS at a URL, which may change or fail, and counts who asks."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _AnswerJwks)
        self.document = b""
        self.asked = 0


class _AnswerJwks(BaseHTTPRequestHandler):
    server: JwksServer

    def do_GET(self) -> None:
        self.server.asked += 1
        self.send_response(200 if self.server.document else 500)
        self.end_headers()
        self.wfile.write(self.server.document)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def published() -> Iterator[JwksServer]:
    with JwksServer() as jwks_server:
        thread = threading.Thread(target=jwks_server.serve_forever)
        thread.start()
        yield jwks_server
        jwks_server.shutdown()
        thread.join()


def test_a_jwks_at_a_url_is_read_once_and_again_for_an_unknown_key(
    tmp_path: Path, issuer: Issuer, published: JwksServer
) -> None:
    url = f"http://127.0.0.1:{published.server_port}/jwks"
    token = jwt.encode(claims(), issuer.rsa, "RS256", {"kid": "rsa"})
    with running_server(tmp_path / "data", jwt_jwks=url) as server:
        assert ask(server, f"Bearer {token}").status_code == 503, "never readable so far"
        assert published.asked == 1
        assert ask(server, f"Bearer {token}").headers["retry-after"] == "10"
        assert published.asked == 1, "asked again at once"
    published.document = json.dumps(issuer.jwks()).encode()
    published.asked = 0
    with running_server(tmp_path / "data", jwt_jwks=url) as server:
        for _ in range(5):
            assert status(server, token) == 200
        unknown = jwt.encode(claims(), issuer.rsa, "RS256", {"kid": "new"})
        for _ in range(5):
            assert status(server, unknown) == 401
        assert published.asked == 1, "unknown key ids must not make us ask without end"
