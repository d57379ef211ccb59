"""The public keys of the JWKS (RFC 7517): from a file or a URL, read again when they may be new."""

import asyncio
import json
import time
import urllib.request
from pathlib import Path
from typing import Any, Final

import jwt

from applyrate.errors import Unavailable
from applyrate.observability.events import Event
from applyrate.observability.logs import tell

MAX_AGE_SECONDS: Final = 300
"""After this the keys are read again, so that one that was taken out stops working."""

REFRESH_SECONDS: Final = 10
"""The keys are read no more often than this, whatever key ids the tokens name."""

_TIMEOUT_SECONDS: Final = 5
_LONGEST_BYTES: Final = 1_048_576


class KeySet:
    """The keys of one source, kept between requests."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._keys: list[jwt.PyJWK] | None = None
        self._read_at = -float("inf")
        self._reading = asyncio.Lock()

    async def find(self, algorithm: str, key_id: str | None) -> list[jwt.PyJWK]:
        """The keys for an algorithm, of that id where one is named.

        Raises Unavailable where the source was never readable.
        """
        if self._age > MAX_AGE_SECONDS or not self._fitting(algorithm, key_id):
            async with self._reading:
                if self._age > REFRESH_SECONDS:
                    await self._read()
        if self._keys is None:
            raise Unavailable(
                "the keys that tokens are signed with cannot be read now",
                retry_after_seconds=REFRESH_SECONDS,
            )
        return self._fitting(algorithm, key_id)

    @property
    def _age(self) -> float:
        return time.monotonic() - self._read_at

    def _fitting(self, algorithm: str, key_id: str | None) -> list[jwt.PyJWK]:
        return [
            key
            for key in self._keys or ()
            if key.algorithm_name == algorithm and (key_id is None or key.key_id == key_id)
        ]

    async def _read(self) -> None:
        self._read_at = time.monotonic()
        try:
            self._keys = parse_key_set(await asyncio.to_thread(_load, self._source))
        except (OSError, ValueError) as error:
            tell(Event.JWKS_UNREADABLE, source=self._source, problem=str(error))


_ALGORITHMS: Final[dict[tuple[object, object], str]] = {
    ("RSA", None): "RS256",
    ("EC", "P-256"): "ES256",
    ("OKP", "Ed25519"): "EdDSA",
}


def parse_key_set(document: bytes) -> list[jwt.PyJWK]:
    """The keys of a JWKS that can check one of our algorithms; others are left out.

    Raises ValueError where the document is no JWKS.
    """
    try:
        entries = [dict(entry) for entry in json.loads(document)["keys"]]
    except (KeyError, TypeError, ValueError, RecursionError):
        raise ValueError("not a JWKS, which is an object with an array `keys`") from None
    return [key for entry in entries if (key := _key(entry))]


def _key(entry: dict[str, Any]) -> jwt.PyJWK | None:
    kind = (entry.get("kty"), None if entry.get("kty") == "RSA" else entry.get("crv"))
    algorithm = _ALGORITHMS.get(kind)
    checks_signatures = entry.get("use", "sig") == "sig" and "verify" in entry.get(
        "key_ops", ["verify"]
    )
    if algorithm is None or entry.get("alg", algorithm) != algorithm or not checks_signatures:
        return None
    try:
        return jwt.PyJWK(entry, algorithm)
    except jwt.PyJWTError as error:
        tell(Event.JWKS_KEY_LEFT_OUT, problem=str(error))
        return None


def _load(source: str) -> bytes:
    if source.startswith(("https://", "http://")):
        # The scheme was just checked, which S310 asks for.
        with urllib.request.urlopen(source, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
            document: bytes = answer.read(_LONGEST_BYTES)
            return document
    return Path(source).read_bytes()
