"""Sessions: a key is exchanged for a cookie, and a link that opens once for a session."""

from datetime import datetime, timedelta
from typing import Final

from applyrate.dashboard.tokens import Purpose, new_token, token_digest
from applyrate.keys import ApiKey
from applyrate.store import Store

SESSION_LIFETIME: Final = timedelta(hours=12)
LINK_LIFETIME: Final = timedelta(minutes=5)


def begin_session(store: Store, key: ApiKey, now: datetime, *, ended: str | None = None) -> str:
    """A new session of a key; its token. ``ended`` is the token that it takes the place of.

    It ends after twelve hours, at sign-out, and with its key.
    """
    if ended is not None:
        end_session(store, ended)
    return _begin(store, key, Purpose.SESSION, now, now + SESSION_LIFETIME)


def find_session(store: Store, token: str, now: datetime) -> ApiKey | None:
    """The key of a session, None where it has ended or never was."""
    return store.find_session(token_digest(token, Purpose.SESSION), now)


def end_session(store: Store, token: str) -> None:
    """End a session for good."""
    store.end_session(token_digest(token, Purpose.SESSION))


def make_link(store: Store, key: ApiKey, now: datetime) -> str:
    """The token of a link that signs whoever opens it first in with a key, within five minutes."""
    return _begin(store, key, Purpose.LINK, now, now + LINK_LIFETIME)


def open_link(store: Store, link: str, now: datetime) -> str | None:
    """The token of a new session, None where the link was opened before or is too old."""
    digest = token_digest(link, Purpose.LINK)
    key = store.find_session(digest, now)
    if key is None or not store.end_session(digest):
        return None
    return begin_session(store, key, now)


def _begin(store: Store, key: ApiKey, purpose: Purpose, now: datetime, expires_at: datetime) -> str:
    token = new_token()
    store.add_session(token_digest(token, purpose), key.key_id, now, expires_at)
    return token
