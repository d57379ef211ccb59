"""The keys that callers hold: asked of the store for each request, or every few seconds.

An embedded store is asked each time. One on other machines is asked in a thread, and what it said
of a key is used for MAX_AGE_SECONDS at most. So a key that is revoked by whichever node stops
working on all of them within ten seconds, and on the one that revokes it at once.

While such a store is away nobody can revoke a key there, and a node goes on with those that it
knew as valid last: what they record waits in the inbox.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Final

from msgspec import Struct

from applyrate.errors import Unavailable
from applyrate.keys import ApiKey
from applyrate.observability.events import Event
from applyrate.observability.logs import tell
from applyrate.store import Store

REVOKED_WITHIN: Final = timedelta(seconds=10)
"""How long a key may go on working after another node has revoked it."""

MAX_AGE_SECONDS: Final = 3.0
"""So old may be what is known of a key while the store can be asked.

It leaves two seconds for its answer, which may be of five seconds before.
"""

REFRESH_SECONDS: Final = 1.0
"""What is older is asked anew, while requests go on with it."""

PATIENCE_SECONDS: Final = 2.0
"""A store that has not answered for so long is away."""

RETRY_SECONDS: Final = 1.0
"""How often a store that is away is asked for a key that is known."""

MAX_KNOWN: Final = 10_000

_THREADS: Final = 4


class _Known(Struct):
    key: ApiKey
    asked_at: float


class _Question(Struct):
    answer: "asyncio.Future[ApiKey | None]"
    asked_at: float


class KnownKeys:
    """What is known of the keys of a store. They belong to one event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[bytes, _Known] = {}
        self._questions: dict[bytes, _Question] = {}
        self._failed_at = -float("inf")
        self._is_failing = False
        self._threads = (
            ThreadPoolExecutor(_THREADS, thread_name_prefix="keys") if store.is_remote else None
        )

    async def find(self, digest: bytes) -> ApiKey | None:
        """The key of that SHA-256, valid or not. Raises Unavailable where nobody can tell now."""
        if self._threads is None:
            return self._store.find_key(digest)
        known, now = self._known.get(digest), time.monotonic()
        if known and now - known.asked_at < REFRESH_SECONDS:
            return known.key
        if known is None:
            return await self._wait(self._ask(digest))
        if digest in self._questions or now > self._failed_at + RETRY_SECONDS:
            question = self._ask(digest)
            if now - known.asked_at > MAX_AGE_SECONDS and not self._is_away(now):
                try:
                    return await self._wait(question)
                except Unavailable:
                    pass  # it is away: what was known last holds
        return known.key

    def forget(self, key_id: str) -> None:
        """Ask the store for a key again, which was changed here."""
        for digest in [one for one, known in self._known.items() if known.key.key_id == key_id]:
            del self._known[digest]
        # An answer that is on its way may be of a moment before.
        self._questions.clear()

    def close(self) -> None:
        """End the threads, but wait for none that the store keeps waiting."""
        if self._threads:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _is_away(self, now: float) -> bool:
        """Whether the store fails, or has not answered a question for too long."""
        failed_lately = self._is_failing and now < self._failed_at + 2 * PATIENCE_SECONDS
        return failed_lately or any(
            now - question.asked_at > PATIENCE_SECONDS for question in self._questions.values()
        )

    def _ask(self, digest: bytes) -> _Question:
        """Ask the store for a key, unless that is under way."""
        question = self._questions.get(digest)
        if question is None:
            answer = asyncio.get_running_loop().run_in_executor(
                self._threads, self._store.find_key, digest
            )
            question = self._questions[digest] = _Question(answer, time.monotonic())
            answer.add_done_callback(lambda _: self._take(digest, question))
        return question

    async def _wait(self, question: _Question) -> ApiKey | None:
        left = question.asked_at + PATIENCE_SECONDS - time.monotonic()
        await asyncio.wait((question.answer,), timeout=max(0, left))
        if not question.answer.done():
            raise _away("it does not answer")
        if error := question.answer.exception():
            raise _away(str(error)) from error
        return question.answer.result()

    def _take(self, digest: bytes, question: _Question) -> None:
        """Note what the store said, unless the key was changed here meanwhile."""
        is_current = self._questions.get(digest) is question
        if is_current:
            del self._questions[digest]
        if question.answer.cancelled():
            return
        if error := question.answer.exception():
            self._fail(error)
            return
        self._is_failing = False
        if not is_current:
            return
        key = question.answer.result()
        self._known.pop(digest, None)
        if key is not None:
            self._known[digest] = _Known(key, question.asked_at)
            if len(self._known) > MAX_KNOWN:
                del self._known[next(iter(self._known))]

    def _fail(self, error: BaseException) -> None:
        self._failed_at = time.monotonic()
        if not self._is_failing:
            self._is_failing = True
            tell(Event.KEYS_UNREADABLE, problem=str(error))


def _away(problem: str) -> Unavailable:
    return Unavailable(
        f"the store cannot be asked for the key now ({problem}); try again",
        retry_after_seconds=round(PATIENCE_SECONDS),
    )
