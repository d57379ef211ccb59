"""A request of the service: who asks, what for, and what there is to answer with."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_to_bytes

import litestar
from litestar.datastructures import State
from litestar.response.base import ASGIResponse
from msgspec import Struct

from applyrate.api.auth import Authenticator, Caller
from applyrate.api.cursors import Question
from applyrate.api.edge import ANSWER_HEADERS, BODY_SHARE, REQUEST_ID
from applyrate.api.event_streams import Streams
from applyrate.api.held_bytes import Share
from applyrate.api.kept import Kept
from applyrate.api.key_uses import KeyUses
from applyrate.api.known_keys import KnownKeys
from applyrate.api.limits import RateLimits
from applyrate.api.operations import Operation
from applyrate.api.readiness import Readiness
from applyrate.errors import InvalidInput
from applyrate.intake.group_commit import GroupCommit, Recorder
from applyrate.intake.housekeeping import Housekeeping
from applyrate.intake.journal import Journal
from applyrate.intake.traces import Traces
from applyrate.observability.metrics import Metrics
from applyrate.settings import Settings
from applyrate.store import Store
from applyrate.usage import Window

SERVICES: Final = "services"
"""The key under which the app's state holds its Services."""

LONGEST_IDENTIFIER: Final = 512


class Services(Struct, frozen=True):
    """What the handlers work with; one for each app."""

    settings: Settings
    store: Store
    commits: GroupCommit
    recorder: Recorder
    traces: Traces
    housekeeping: Housekeeping
    journal: Journal
    readers: ThreadPoolExecutor
    cursor_secret: bytes
    authenticator: Authenticator
    known_keys: KnownKeys
    key_uses: KeyUses
    summaries: Kept[ASGIResponse]
    limits: RateLimits
    streams: Streams
    metrics: Metrics
    readiness: Readiness
    document: dict[str, Any]
    operations: Mapping[str, Operation]


class Request(litestar.Request[Caller, None, State]):
    """One request, with its inputs read by the service's own rules."""

    @property
    def services(self) -> Services:
        """What there is to answer with."""
        services: Services = self.app.state[SERVICES]
        return services

    @property
    def caller(self) -> Caller:
        """Who asks."""
        caller: Caller = self.scope["user"]
        return caller

    def question(self, *subject: str, window: Window) -> Question:
        """What a list is asked for, to which its cursors belong."""
        return Question(self.services.cursor_secret, self.caller.org, *subject, window=window)

    @property
    def request_id(self) -> str:
        """The id that this request has in its answer and in the log."""
        return str(self.scope[REQUEST_ID])  # type: ignore[typeddict-item]  # a key of our own

    @property
    def body_share(self) -> Share:
        """What the body of this request takes in memory, given back at the request's end."""
        share: Share = self.scope[BODY_SHARE]  # type: ignore[typeddict-item]  # a key of our own
        return share

    def add_answer_headers(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Let the answer carry these headers too, whatever it will be."""
        self.scope[ANSWER_HEADERS].extend(headers)  # type: ignore[typeddict-item]  # a key of our own

    def path_text(self, name: str) -> str:
        """A parameter of the path, decoded: 1 to 512 characters, whatever they are.

        Raises InvalidInput.
        """
        segment: str = self.path_params[name]
        try:
            text = unquote_to_bytes(segment.encode("latin-1")).decode()
        except UnicodeDecodeError:
            raise InvalidInput(f"{name}: {segment!r} is not percent-encoded UTF-8") from None
        if len(text) > LONGEST_IDENTIFIER:
            raise InvalidInput(
                f"{name}: {text[:20]!r}… has {len(text)} characters;"
                f" {LONGEST_IDENTIFIER} are the most"
            )
        if "\0" in text:
            raise InvalidInput(f"{name}: {text!r} contains the character U+0000, which no text may")
        return text

    def query_texts(self, *names: str) -> dict[str, str]:
        """Those of the named parameters that the query gives, each at most once.

        Others are ignored. Raises InvalidInput for a repeated one.
        """
        texts: dict[str, str] = {}
        for name, text in self._query():
            if name not in names:
                continue
            if name in texts:
                given = ", ".join(repr(text) for other, text in self._query() if other == name)
                raise InvalidInput(f"{name}: given more than once: {given}; send one")
            texts[name] = text
        return texts

    def _query(self) -> list[tuple[str, str]]:
        query: bytes = self.scope["query_string"]
        if not query:
            return []
        try:
            return parse_qsl(query.decode(), keep_blank_values=True, errors="strict")
        except ValueError:
            raise InvalidInput("the query: not percent-encoded UTF-8") from None
