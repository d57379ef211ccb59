"""API keys: how one is made, checked and kept. Only its SHA-256 is ever stored."""

import hashlib
import secrets
import string
import zlib
from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from applyrate.errors import InvalidInput

SCOPES = (
    "usage:write",
    "chat-sessions:read",
    "chat-sessions:write",
    "training:read",
    "training:write",
    "actions:read",
    "actions:write",
    "org:read",
    "org:write",
    "metrics:read",
)

_PREFIX = "apr_live_"
_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SECRET_LENGTH = 32
_CHECKSUM_LENGTH = 6


class ApiKey(Struct, frozen=True, kw_only=True):
    """What is known of a key, but never the key. ``scopes`` is ``None`` for full access.

    ``hint`` is the key's last four characters, for a person to tell one from another.
    """

    key_id: str
    org: str
    name: str
    hint: str
    scopes: tuple[str, ...] | None
    created_at: datetime
    last_used_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def valid_at(self, now: datetime) -> bool:
        """Whether the key opens anything at that moment."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def generate_key() -> str:
    """A new key: ``apr_live_``, 32 random base62 characters (190 bits) and a checksum of six.

    The checksum is the CRC-32 of what stands before it, so that a mistyped key, or a string that
    merely looks like one, is told from a real one without a look-up.
    """
    body = _PREFIX + "".join(secrets.choice(_BASE62) for _ in range(_SECRET_LENGTH))
    return body + _checksum(body)


def is_well_formed(key: str) -> bool:
    """Whether a text is of a key's form, with a checksum that fits."""
    body, checksum = key[:-_CHECKSUM_LENGTH], key[-_CHECKSUM_LENGTH:]
    return (
        key.startswith(_PREFIX)
        and len(key) == len(_PREFIX) + _SECRET_LENGTH + _CHECKSUM_LENGTH
        and key.isascii()
        and checksum == _checksum(body)
    )


def digest(key: str) -> bytes:
    """The SHA-256 under which a key is stored and found (32 bytes)."""
    return hashlib.sha256(key.encode()).digest()


def issue_key(
    org: str,
    name: str,
    *,
    scopes: Iterable[str] | None,
    created_at: datetime,
    expires_at: datetime | None = None,
) -> tuple[str, ApiKey]:
    """A new key to show once, and what to store of it. Raises InvalidInput for an unknown scope."""
    key = generate_key()
    return key, ApiKey(
        key_id="key_" + secrets.token_hex(8),
        org=org,
        name=name,
        hint=key[-4:],
        scopes=None if scopes is None else checked_scopes(scopes),
        created_at=created_at,
        expires_at=expires_at,
    )


def checked_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """The scopes in the order of SCOPES, each once. Raises InvalidInput for an unknown one."""
    wanted = set(scopes)
    if unknown := sorted(wanted.difference(SCOPES)):
        raise InvalidInput(f"scopes: {unknown[0]!r} is not one of {', '.join(SCOPES)}")
    return tuple(scope for scope in SCOPES if scope in wanted)


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return digits
