"""Who asks: the caller that an ``Authorization: Bearer`` header proves, by API key or by JWT."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from applyrate.api.key_uses import KeyUses
from applyrate.api.known_keys import KnownKeys
from applyrate.errors import Forbidden, Unauthenticated
from applyrate.keys import digest, is_well_formed
from applyrate.settings import Settings

if TYPE_CHECKING:
    from applyrate.api.tokens import TokenVerifier


class Caller(Struct, frozen=True):
    """Who asks, for which organization. ``scopes`` is ``None`` for full access.

    ``identity`` tells callers apart where their requests are counted, ``actor`` names them in the
    audit log.
    """

    org: str
    identity: str
    scopes: frozenset[str] | None
    actor: str

    def require(self, scopes: Iterable[str]) -> None:
        """Raise Forbidden unless the caller holds all these scopes."""
        if self.scopes is None:
            return
        if missing := [scope for scope in scopes if scope not in self.scopes]:
            raise Forbidden(f"the key lacks the scope {' and '.join(missing)}")

    def require_to_grant(self, scopes: Iterable[str] | None) -> None:
        """Raise Forbidden unless the caller holds all that it wants to give to a new key."""
        if self.scopes is None:
            return
        if scopes is None:
            raise Forbidden("scopes: a key without full access cannot make one with it; name some")
        if missing := [scope for scope in scopes if scope not in self.scopes]:
            raise Forbidden(f"scopes: the key that asks lacks {' and '.join(missing)} itself")


class Authenticator:
    """Knows callers by their keys and by their tokens."""

    def __init__(self, settings: Settings, known_keys: KnownKeys, key_uses: KeyUses) -> None:
        self._known_keys = known_keys
        self._key_uses = key_uses
        self._tokens = _token_verifier(settings)

    async def authenticate(self, headers: Iterable[tuple[bytes, bytes]]) -> Caller:
        """The caller that a request's headers prove. Raises Unauthenticated."""
        credential = _bearer(headers)
        if credential.startswith(_KEY_PREFIX):
            return await self._by_key(credential)
        if self._tokens and credential.count(".") == _DOTS_IN_A_TOKEN:
            claims = await self._tokens.verify(credential)
            identity = f"jwt:{claims.org}\0{claims.subject}"
            return Caller(claims.org, identity, claims.scopes, f"token:{claims.subject}")
        raise Unauthenticated(f"Authorization: no key that the service takes; {_WAY_OUT}")

    async def _by_key(self, key: str) -> Caller:
        known = await self._known_keys.find(digest(key))
        now = datetime.now(UTC)
        if known is None or not known.valid_at(now):
            raise Unauthenticated(
                "Authorization: the API key is unknown, revoked or expired"
                if is_well_formed(key)
                else "Authorization: the API key is mistyped; its checksum is wrong"
            )
        self._key_uses.note(known.key_id, now)
        scopes = None if known.scopes is None else frozenset(known.scopes)
        return Caller(known.org, known.key_id, scopes, f"key:{known.key_id}")


def _token_verifier(settings: Settings) -> "TokenVerifier | None":
    if settings.jwt_secret is None and settings.jwt_jwks is None:
        return None  # and the start is a tenth of a second quicker
    from applyrate.api.tokens import TokenVerifier

    return TokenVerifier(settings)


_KEY_PREFIX: Final = "apr_live_"
_DOTS_IN_A_TOKEN: Final = 2
_WAY_OUT: Final = "send `Authorization: Bearer <key>`"


def _bearer(headers: Iterable[tuple[bytes, bytes]]) -> str:
    given = [value for name, value in headers if name == b"authorization"]
    if not given:
        raise Unauthenticated(f"Authorization: missing; {_WAY_OUT}")
    if len(given) > 1:
        raise Unauthenticated(f"Authorization: given more than once; {_WAY_OUT}")
    scheme, _, credential = given[0].decode("latin-1").strip().partition(" ")
    if scheme.lower() != "bearer" or not credential:
        raise Unauthenticated(f"Authorization: not a bearer key; {_WAY_OUT}")
    return credential.strip()
