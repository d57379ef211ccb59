"""Who may ask: keys and tokens, true ones and every classic forgery."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from applyrate.api.jwks import parse_key_set
from applyrate.keys import generate_key
from tests.servers import Server, running_server

ACTION = "/resource-usage/action/look/usage-summary"
INSTRUCTION = "/resource-usage/instruction/ins/usage-summary"
REPLY = {"reply_id": "r", "session_id": "s", "replied_at": "2026-03-01T10:00:00Z"}
SECRET = "a secret of the tests: long enough for any of the HMAC algorithms, 64"


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


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Basic dXNlcjpwYXNz",
        "Bearer nonsense",
        "Bearer apr_live_",
        "Bearer apr_live_" + "0" * 38,
        pytest.param(f"Bearer {generate_key()}", id="a well-formed key that nobody made"),
        "Bearer a.b.c",
        "Bearer ..",
        "Bearer " + "x" * 20_000 + "..",
        "Bearer " + "." * 20_000,
    ],
)
def test_a_key_that_is_none_is_401(server: Server, authorization: str) -> None:
    answer = ask(server, authorization)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


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


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        (["actions:read", "chat-sessions:read"], {"action"}),
        (["training:read", "chat-sessions:read"], {"instruction", "knowledge"}),
        (["actions:read", "training:read"], set()),
        (["chat-sessions:read"], set()),
        (["actions:write", "training:write", "chat-sessions:write"], set()),
        (None, {"action", "instruction", "knowledge"}),
    ],
)
def test_each_type_needs_its_own_scopes_to_be_read(
    server: Server, scopes: list[str] | None, allowed: set[str]
) -> None:
    client = server.client(scopes=scopes)
    for resource_type in ("action", "instruction", "knowledge"):
        for rest in ("", "/x/usage-summary", "/x/conversations"):
            answer = client.get(f"/resource-usage/{resource_type}{rest}")
            assert answer.status_code == (200 if resource_type in allowed else 403)


def test_403_names_what_the_key_lacks(server: Server) -> None:
    answer = server.client(scopes=["org:read"]).get(INSTRUCTION)
    assert answer.json() == {
        "statusCode": 403,
        "message": "the key lacks the scope training:read and chat-sessions:read",
        "error": "Forbidden",
    }


@pytest.mark.parametrize(
    ("scope", "method", "path"),
    [
        ("usage:write", "POST", "/replies"),
        ("chat-sessions:write", "PUT", "/conversations/s"),
        ("org:write", "POST", "/keys"),
        ("org:read", "GET", "/keys"),
        ("org:write", "DELETE", "/keys/none"),
    ],
)
def test_each_other_route_needs_its_one_scope(
    server: Server, scope: str, method: str, path: str
) -> None:
    every = ["usage:write", "chat-sessions:write", "org:write", "org:read", "training:read"]
    without = server.client(scopes=[one for one in every if one != scope])
    answer = without.request(method, path, json={})
    assert (answer.status_code, answer.json()["message"]) == (
        403,
        f"the key lacks the scope {scope}",
    )
    assert server.client(scopes=[scope]).request(method, path, json={}).status_code != 403


def test_the_public_routes_need_no_key(server: Server) -> None:
    for path in ("/health/live", "/openapi.json", "/docs"):
        assert httpx.get(server.url + path).status_code == 200
        assert ask(server, "Bearer nonsense", path).status_code == 200


def test_every_documented_route_but_the_public_ones_is_closed_without_a_key(server: Server) -> None:
    document = httpx.get(f"{server.url}/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            answer = httpx.request(method, server.url + path.replace("{", "").replace("}", ""))
            assert answer.status_code == (200 if operation.get("security") == [] else 401)


class Issuer:
    """Whoever signs tokens: a key of each kind, and the JWKS that publishes them."""

    def __init__(self) -> None:
        self.rsa = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.p384 = ec.generate_private_key(ec.SECP384R1())
        self.ed = ed25519.Ed25519PrivateKey.generate()

    def jwks(self) -> dict[str, Any]:
        return {
            "keys": [
                RSAAlgorithm.to_jwk(self.rsa.public_key(), as_dict=True)
                | {"kid": "rsa", "use": "sig", "alg": "RS256"},
                ECAlgorithm.to_jwk(self.ec.public_key(), as_dict=True) | {"kid": "ec"},
                ECAlgorithm.to_jwk(self.p384.public_key(), as_dict=True) | {"kid": "p384"},
                OKPAlgorithm.to_jwk(self.ed.public_key(), as_dict=True) | {"kid": "ed"},
                RSAAlgorithm.to_jwk(self.rsa.public_key(), as_dict=True)
                | {"kid": "encrypts", "use": "enc"},
                {"kty": "oct", "k": "c2VjcmV0", "kid": "oct"},
                {"kty": "RSA", "n": "broken", "kid": "broken"},
            ]
        }


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Server]:
    """A service that takes tokens: by the secret, and by the keys of a JWKS file."""
    folder = tmp_path_factory.mktemp("trusting")
    (folder / "jwks.json").write_text(json.dumps(issuer.jwks()))
    with running_server(
        folder / "data",
        jwt_secret=SECRET,
        jwt_jwks=folder / "jwks.json",
        jwt_issuer="https://issuer.test",
        jwt_audience="applyrate",
    ) as server:
        yield server


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a good token, with changes; None takes one out."""
    good = {
        "org": "acme",
        "scope": "actions:read chat-sessions:read",
        "exp": int(time.time()) + 60,
        "iss": "https://issuer.test",
        "aud": "applyrate",
        "sub": "someone",
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def hs256(**changes: Any) -> str:
    return jwt.encode(claims(**changes), SECRET, "HS256")


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


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1_000_000_000},
        {"exp": None},
        {"exp": "soon"},
        {"exp": 1e400},
        {"nbf": 4_000_000_000},
        {"iat": 4_000_000_000},
        {"iss": "https://other.test"},
        {"iss": None},
        {"aud": "other"},
        {"aud": None},
        {"org": None},
        {"org": ""},
        {"org": 5},
        {"org": ["acme"]},
        {"org": "a\0b"},
        {"org": "x" * 513},
        {"scope": 5},
        {"scope": {"*": 1}},
        {"scope": [1]},
        {"sub": 5},
    ],
)
def test_a_token_whose_claims_break_a_rule_is_401(
    trusting: Server, changes: dict[str, Any]
) -> None:
    payload = json.dumps(claims(**changes)).encode()
    answer = ask(trusting, f"Bearer {jwt.api_jws.encode(payload, SECRET, 'HS256')}")
    assert answer.status_code == 401
    assert answer.json()["message"].startswith("the token is not valid: ")


def encode_part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def forge(header: dict[str, Any], secret: bytes | None) -> str:
    signed = f"{encode_part(header)}.{encode_part(claims())}"
    if secret is None:
        return signed + "."
    signature = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def test_a_forged_token_is_401(trusting: Server, issuer: Issuer) -> None:
    pem = issuer.rsa.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    stranger = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    jwk = RSAAlgorithm.to_jwk(stranger.public_key(), as_dict=True)
    good = hs256()
    forged = [
        forge({"alg": "none", "typ": "JWT"}, None),
        forge({"alg": "None"}, None),
        forge({"alg": "NONE"}, b""),
        forge({"alg": "HS256"}, None),
        forge({"alg": "HS256"}, b""),
        forge({"alg": "HS256", "kid": "rsa"}, pem),  # the public key as an HMAC's secret
        forge({"alg": "HS256", "kid": "oct"}, b"secret"),  # a secret out of the JWKS
        forge({"alg": "RS256", "kid": "rsa"}, SECRET.encode()),
        forge({"alg": "HS384"}, SECRET.encode()),
        forge({"alg": ["HS256"]}, SECRET.encode()),
        forge({"alg": None}, SECRET.encode()),
        forge({}, SECRET.encode()),
        forge({"alg": "HS256", "crit": ["exp"]}, SECRET.encode()),
        forge({"alg": "HS256", "kid": 7}, SECRET.encode()),
        jwt.encode(claims(), SECRET, "HS512"),
        jwt.encode(claims(), issuer.rsa, "RS512", {"kid": "rsa"}),
        jwt.encode(claims(), issuer.rsa, "PS256", {"kid": "rsa"}),
        jwt.encode(claims(), issuer.rsa, "RS256", {"kid": "encrypts"}),
        jwt.encode(claims(), issuer.rsa, "RS256", {"kid": "ec"}),
        jwt.encode(claims(), issuer.rsa, "RS256", {"kid": "../../etc/passwd"}),
        jwt.encode(claims(), issuer.p384, "ES384", {"kid": "p384"}),
        jwt.encode(claims(), stranger, "RS256", {"kid": "rsa"}),
        jwt.encode(claims(), stranger, "RS256", {"kid": "rsa", "jwk": jwk}),
        jwt.encode(claims(), stranger, "RS256", {"kid": "rsa", "jku": "http://127.0.0.1:9/jwks"}),
        good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"),
        good.rpartition(".")[0] + ".",
        f"{encode_part({'alg': 'HS256'})}.{encode_part(claims(org='other'))}.{good.split('.')[2]}",
        "e30.e30.e30",
        "eyJ.eyJ.eyJ",
        f"{base64.urlsafe_b64encode(b'[' * 9_000).decode()}..",
    ]
    assert status(trusting, good) == 200
    for token in forged:
        assert status(trusting, token) == 401, token


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
