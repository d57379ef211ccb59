"""JSON Web Tokens: signed with our secret (HS256) or by a holder of a key in the JWKS.

The key decides the algorithm, never the token: an HMAC is only ever checked with the secret, a
signature only with a public key of its own type (RFC 8725, section 3.1).
"""

from typing import Any, Final

import jwt
from msgspec import Struct

from applyrate.api.jwks import KeySet
from applyrate.errors import Unauthenticated
from applyrate.settings import Settings

FULL_ACCESS: Final = "*"
"""The scope in a token that stands for all."""

LEEWAY_SECONDS: Final = 5
"""How far the issuer's clock may be from ours."""

_LONGEST_TOKEN: Final = 16_384
_LONGEST_ORG: Final = 512


class Claims(Struct, frozen=True):
    """What a valid token says. ``scopes`` is ``None`` for full access."""

    org: str
    subject: str
    scopes: frozenset[str] | None


class TokenVerifier:
    """Checks tokens by the settings."""

    def __init__(self, settings: Settings) -> None:
        self._secret = settings.jwt_secret
        self._key_set = None if settings.jwt_jwks is None else KeySet(settings.jwt_jwks)
        self._issuer = settings.jwt_issuer
        self._audience = settings.jwt_audience

    async def verify(self, token: str) -> Claims:
        """The claims of a token. Raises Unauthenticated."""
        if len(token) > _LONGEST_TOKEN:
            raise Unauthenticated(f"the token is longer than {_LONGEST_TOKEN} characters")
        try:
            header = jwt.get_unverified_header(token)
            keys = await self._fitting_keys(header.get("alg"), header.get("kid"))
            return _claims(self._decode(token, keys))
        except (jwt.PyJWTError, ValueError, OverflowError, RecursionError) as error:
            raise Unauthenticated(f"the token is not valid: {error}") from None

    async def _fitting_keys(self, algorithm: object, key_id: object) -> "list[_Key]":
        if algorithm == "HS256" and self._secret is not None:
            return [(self._secret, "HS256")]
        if self._key_set is not None and isinstance(algorithm, str) and algorithm != "HS256":
            fitting = await self._key_set.find(algorithm, key_id if key_id is None else str(key_id))
            return [(key, key.algorithm_name) for key in fitting]
        return []

    def _decode(self, token: str, keys: "list[_Key]") -> dict[str, Any]:
        failure: jwt.PyJWTError = jwt.InvalidKeyError("no known key fits its algorithm and key id")
        for key, algorithm in keys:
            try:
                return jwt.decode(
                    token,
                    key,
                    algorithms=[algorithm],
                    issuer=self._issuer,
                    audience=self._audience,
                    leeway=LEEWAY_SECONDS,
                    options={"require": ["exp"], "verify_aud": self._audience is not None},
                )
            except jwt.InvalidSignatureError as error:
                failure = error
        raise failure


_Key = tuple[jwt.PyJWK | str, str]


def _claims(claims: dict[str, Any]) -> Claims:
    org = claims.get("org")
    if not isinstance(org, str) or not 1 <= len(org) <= _LONGEST_ORG or "\0" in org:
        raise Unauthenticated("the token is not valid: its claim `org` names no organization")
    given = claims.get("scope", "")
    names = given.split() if isinstance(given, str) else given
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Unauthenticated("the token is not valid: its claim `scope` is no list of scopes")
    scopes = None if FULL_ACCESS in names else frozenset(names)
    return Claims(org, claims.get("sub", ""), scopes)
