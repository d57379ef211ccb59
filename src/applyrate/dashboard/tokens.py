"""Secrets of a browser: how one is made, under what it is stored, and what proves a form ours."""

import hashlib
import hmac
import secrets
from enum import StrEnum


class Purpose(StrEnum):
    """What a secret is good for; one made for a purpose is nothing for another."""

    SESSION = "session"
    LINK = "link"


def new_token() -> str:
    """256 random bits, as text that a cookie and a URL can carry."""
    return secrets.token_urlsafe(32)


def token_digest(token: str, purpose: Purpose) -> bytes:
    """The SHA-256 under which a token is stored (32 bytes)."""
    return hashlib.sha256(f"{purpose}:{token}".encode()).digest()


def csrf_token(token: str) -> str:
    """What a form carries to show that it comes from a page of whoever has this token."""
    return hmac.new(token.encode(), b"csrf", hashlib.sha256).hexdigest()


def is_csrf_token(given: str, token: str) -> bool:
    """Whether a form carries what it should, told in constant time."""
    return hmac.compare_digest(given.encode(), csrf_token(token).encode())
