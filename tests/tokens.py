"""JSON Web Tokens: whoever signs them, good ones, and every classic forgery of one."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tests.servers import Server, running_server

SECRET = "a secret of the tests: long enough for any of the HMAC algorithms, 64"
ISSUER = "https://issuer.test"
AUDIENCE = "applyrate"


class Issuer:
    """Whoever signs tokens: a key of each kind, and the JWKS that publishes them."""

    def __init__(self) -> None:
        self.rsa = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.p384 = ec.generate_private_key(ec.SECP384R1())
        self.ed = ed25519.Ed25519PrivateKey.generate()

    def jwks(self) -> dict[str, Any]:
        """The public keys, beside some that must not be used."""
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


@contextmanager
def trusting_server(folder: Path, issuer: Issuer) -> Iterator[Server]:
    """A service that takes tokens: by the secret, and by the issuer's keys in a JWKS file."""
    (folder / "jwks.json").write_text(json.dumps(issuer.jwks()))
    with running_server(
        folder / "data",
        jwt_secret=SECRET,
        jwt_jwks=folder / "jwks.json",
        jwt_issuer=ISSUER,
        jwt_audience=AUDIENCE,
    ) as server:
        yield server


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a good token, with changes; None takes one out."""
    good = {
        "org": "acme",
        "scope": "actions:read chat-sessions:read",
        "exp": int(time.time()) + 600,
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "someone",
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def hs256(**changes: Any) -> str:
    """A token that the secret signs."""
    return jwt.encode(claims(**changes), SECRET, "HS256")


def encode_part(value: object) -> str:
    """One of a token's parts."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def forge(header: Mapping[str, Any], secret: bytes | None, **changes: Any) -> str:
    """A token with any header; an HMAC by any secret, or no signature at all."""
    signed = f"{encode_part(header)}.{encode_part(claims(**changes))}"
    if secret is None:
        return signed + "."
    signature = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def forgeries(issuer: Issuer, **changes: Any) -> dict[str, str]:
    """Tokens that open nothing, each by what is wrong with it; their claims are good but for it."""
    return {
        **_without_signature(changes),
        **_by_confusion(issuer, changes),
        **_by_strangers(changes),
        **_altered(changes),
        **_broken_rules(changes),
        **_malformed(),
    }


def _without_signature(changes: Mapping[str, Any]) -> dict[str, str]:
    return {
        "alg none": forge({"alg": "none", "typ": "JWT"}, None, **changes),
        "alg None": forge({"alg": "None"}, None, **changes),
        "alg NONE with an empty secret": forge({"alg": "NONE"}, b"", **changes),
        "HS256 without a signature": forge({"alg": "HS256"}, None, **changes),
        "RS256 without a signature": forge({"alg": "RS256", "kid": "rsa"}, None, **changes),
        "an empty secret": forge({"alg": "HS256"}, b"", **changes),
    }


def _by_confusion(issuer: Issuer, changes: Mapping[str, Any]) -> dict[str, str]:
    public = issuer.rsa.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    secret, payload = SECRET.encode(), claims(**changes)
    return {
        "the public key in PEM as a secret": forge({"alg": "HS256", "kid": "rsa"}, pem, **changes),
        "the public key in DER as a secret": forge({"alg": "HS256", "kid": "rsa"}, der, **changes),
        "a secret out of the JWKS": forge({"alg": "HS256", "kid": "oct"}, b"secret", **changes),
        "an HMAC as RS256": forge({"alg": "RS256", "kid": "rsa"}, secret, **changes),
        "an HMAC as HS384": forge({"alg": "HS384"}, secret, **changes),
        "alg as an array": forge({"alg": ["HS256"]}, secret, **changes),
        "alg null": forge({"alg": None}, secret, **changes),
        "no alg": forge({}, secret, **changes),
        "an unknown critical header": forge({"alg": "HS256", "crit": ["exp"]}, secret, **changes),
        "HS512": jwt.encode(payload, SECRET, "HS512"),
        "RS512": jwt.encode(payload, issuer.rsa, "RS512", {"kid": "rsa"}),
        "PS256": jwt.encode(payload, issuer.rsa, "PS256", {"kid": "rsa"}),
        "ES384": jwt.encode(payload, issuer.p384, "ES384", {"kid": "p384"}),
        "the id of a key that only encrypts": jwt.encode(
            payload, issuer.rsa, "RS256", {"kid": "encrypts"}
        ),
        "the id of a key of another kind": jwt.encode(payload, issuer.rsa, "RS256", {"kid": "ec"}),
    }


def _by_strangers(changes: Mapping[str, Any]) -> dict[str, str]:
    stranger = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    jwk = RSAAlgorithm.to_jwk(stranger.public_key(), as_dict=True)
    headers: dict[str, dict[str, Any]] = {
        "a stranger's key": {},
        "a stranger's key under a known id": {"kid": "rsa"},
        "a stranger's key in the header": {"kid": "rsa", "jwk": jwk},
        "a stranger's JWKS": {"kid": "rsa", "jku": "http://127.0.0.1:9/jwks"},
        "a stranger's certificate": {"kid": "rsa", "x5u": "http://127.0.0.1:9/crt"},
        "a kid that is a path": {"kid": "../../../../dev/null"},
        "a kid that is SQL": {"kid": "x' UNION SELECT 'secret'; --"},
        "a kid that is empty": {"kid": ""},
    }
    payload = claims(**changes)
    return {
        name: jwt.encode(payload, stranger, "RS256", header) for name, header in headers.items()
    } | {
        "a kid of an empty file": forge({"alg": "HS256", "kid": "/dev/null"}, b"", **changes),
        "a kid that is a number": forge({"alg": "HS256", "kid": 7}, SECRET.encode(), **changes),
        "a guessed secret": forge({"alg": "HS256"}, b"secret", **changes),
    }


def _altered(changes: Mapping[str, Any]) -> dict[str, str]:
    good = hs256(**changes)
    header, payload, signature = good.split(".")
    swapped = "A" if signature[0] != "A" else "B"
    return {
        "an altered signature": f"{header}.{payload}.{swapped}{signature[1:]}",
        "a cut signature": f"{header}.{payload}.{signature[:-4]}",
        "an altered header": f"{encode_part({'alg': 'HS256'})}.{payload}.{signature}",
        "another org in the claims": f"{header}.{encode_part(claims(org='other'))}.{signature}",
        "more scopes in the claims": f"{header}.{encode_part(claims(scope='*'))}.{signature}",
        "a later end in the claims": (
            f"{header}.{encode_part(claims(**changes) | {'exp': 4_000_000_000})}.{signature}"
        ),
    }


def _broken_rules(changes: Mapping[str, Any]) -> dict[str, str]:
    wrong: dict[str, dict[str, Any]] = {
        "expired": {"exp": 1_000_000_000},
        "expired a minute ago": {"exp": int(time.time()) - 60},
        "without exp": {"exp": None},
        "exp is a text": {"exp": "soon"},
        "exp is infinite": {"exp": 1e400},
        "nbf in the future": {"nbf": 4_000_000_000},
        "iat in the future": {"iat": 4_000_000_000},
        "another issuer": {"iss": "https://other.test"},
        "an issuer that begins alike": {"iss": f"{ISSUER}.evil.test"},
        "without an issuer": {"iss": None},
        "another audience": {"aud": "other"},
        "other audiences": {"aud": ["other", "applyrates"]},
        "without an audience": {"aud": None},
        "without an org": {"org": None},
        "an empty org": {"org": ""},
        "an org that is a number": {"org": 5},
        "several orgs": {"org": ["acme"]},
        "an org with U+0000": {"org": "a\0b"},
        "an org that is too long": {"org": "x" * 513},
        "a scope that is a number": {"scope": 5},
        "a scope that is an object": {"scope": {"*": 1}},
        "scopes that are numbers": {"scope": [1]},
        "a subject that is a number": {"sub": 5},
    }
    return {
        name: jwt.api_jws.encode(
            json.dumps(claims(**{**changes, **change})).encode(), SECRET, "HS256"
        )
        for name, change in wrong.items()
    }


def _malformed() -> dict[str, str]:
    return {
        "empty objects": "e30.e30.e30",
        "cut base64": "eyJ.eyJ.eyJ",
        "two dots": "..",
        "three letters": "a.b.c",
        "a deep header": f"{base64.urlsafe_b64encode(b'[' * 9_000).decode()}..",
        "a long token": "x" * 20_000 + "..",
        "an object where claims are": jwt.api_jws.encode(b"[]", SECRET, "HS256"),
    }
