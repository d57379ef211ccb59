"""A reply while the agent works on it."""

import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self, TypeAlias

import msgspec

from applyrate.rules import broken_rule
from applyrate.usage import Applied, Available, Identifier, Invocation, Reply

Ids: TypeAlias = str | Iterable[str]
"""One id, or any number of them."""

Calls: TypeAlias = str | Invocation | Iterable[str | Invocation]
"""One call of an action, or any number; an Invocation has the call id of the source."""

LONGEST_MESSAGE: Final = 65_536


class OpenReply:
    """What is told of a reply, from any thread or task; a context manager, with or without async.

    The reply is recorded when its block ends, whether or not by an exception: what it used, it
    used. ``discard()`` prevents that. What is told later, by a task that lives on, is recorded
    then. An id that is none is left out and logged, so that nothing here raises into the agent.

    ``replied_at`` is when the block ended, unless set; ``ticket_number`` and ``last_message`` may
    be set at any time before. Of a longer message the first 65,536 characters are kept.
    """

    def __init__(
        self,
        owner: object,
        record: Callable[[Reply], None],
        complain: Callable[[str], None],
        *,
        session_id: str,
        reply_id: str | None,
        replied_at: datetime | None,
        ticket_number: int | None,
        last_message: str | None,
    ) -> None:
        self.session_id = session_id
        self.reply_id = secrets.token_hex(16) if reply_id is None else reply_id
        self.replied_at = replied_at
        self.ticket_number = ticket_number
        self.last_message = last_message
        self._owner = owner
        self._record = record
        self._complain = complain
        # Only ever added to, by operations that no thread can see half done.
        self._available = _Named()
        self._applied = _Named()
        self._invocations: list[str | Invocation] = []
        self._has_ended = False
        self._is_discarded = False

    def available(self, *, instruction: Ids = (), knowledge: Ids = (), action: Ids = ()) -> None:
        """Tell what is in the context of the reply."""
        self._available.instruction.update(self._ids("instruction", instruction))
        self._available.knowledge.update(self._ids("knowledge", knowledge))
        self._available.action.update(self._ids("action", action))
        self._record_if_ended()

    def applied(
        self,
        *,
        instruction: Ids = (),
        knowledge: Ids = (),
        action: Calls = (),
        call_id: str | None = None,
    ) -> None:
        """Tell what the reply cites, and which actions it invokes: each one named is a call.

        ``call_id`` is the source's own id of the call. A call that is told again with it counts
        once.
        """
        self._applied.instruction.update(self._ids("instruction", instruction))
        self._applied.knowledge.update(self._ids("knowledge", knowledge))
        self._invocations.extend(self._calls(action, call_id))
        self._record_if_ended()

    def invoked(self, action: str, call_id: str | None = None) -> None:
        """Tell of one call of an action, which so was available, too."""
        self._available.action.update(self._ids("action", action))
        self.applied(action=action, call_id=call_id)

    def discard(self) -> None:
        """Record nothing of it."""
        self._is_discarded = True

    @property
    def has_ended(self) -> bool:
        """Whether its block is over."""
        return self._has_ended

    def belongs_to(self, owner: object) -> bool:
        """Whether that recorder began it."""
        return self._owner is owner

    def __enter__(self) -> Self:
        _open.set((*(reply for reply in _open.get() if not reply.has_ended), self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _open.set(tuple(reply for reply in _open.get() if reply is not self))
        if self.replied_at is None:
            self.replied_at = datetime.now(UTC)
        self._has_ended = True
        self._record_if_ended()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)

    def _record_if_ended(self) -> None:
        """Record all of it, again where it was already: recording is a union."""
        if not self._has_ended or self._is_discarded or self.replied_at is None:
            return
        message = self.last_message
        available, applied = self._available, self._applied
        self._record(
            Reply(
                reply_id=self.reply_id,
                session_id=self.session_id,
                replied_at=self.replied_at,
                available=Available(
                    list(available.instruction), list(available.knowledge), list(available.action)
                ),
                applied=Applied(
                    list(applied.instruction), list(applied.knowledge), list(self._invocations)
                ),
                ticket_number=self.ticket_number,
                last_message=message[:LONGEST_MESSAGE] if isinstance(message, str) else message,
            )
        )

    def _ids(self, name: str, given: Ids) -> dict[str, None]:
        return dict.fromkeys(text for each in _each(given) if (text := self._id(name, each)))

    def _calls(self, given: Calls, call_id: str | None) -> Iterator[str | Invocation]:
        for each in _each(given):
            named = each.id if isinstance(each, Invocation) else each
            called = each.call_id if isinstance(each, Invocation) else call_id
            if action := self._id("action", named):
                call = None if called is None else self._id("call_id", called)
                yield Invocation(action, call) if call else action

    def _id(self, name: str, value: object) -> str | None:
        """The text of an id; None, with a complaint, for what is none."""
        try:
            text = msgspec.convert(value, Identifier)
        except msgspec.ValidationError as error:
            self._complain(f"{name}: {value!r:.80} {broken_rule(str(error))}")
            return None
        if _BAD_CHARACTER.search(text):
            self._complain(f"{name}: {value!r:.80} contains U+0000 or half a surrogate pair")
            return None
        return text


class _Named:
    """Ids by type, each once, in the order in which they came."""

    def __init__(self) -> None:
        self.instruction: dict[str, None] = {}
        self.knowledge: dict[str, None] = {}
        self.action: dict[str, None] = {}


def current_reply(owner: object) -> OpenReply | None:
    """The innermost open reply of that owner, here: in this thread, task or context."""
    for reply in reversed(_open.get()):
        if reply.belongs_to(owner):
            return reply
    return None


# All open replies, the innermost last. Copied contexts may hold one that has ended since.
_open: ContextVar[tuple[OpenReply, ...]] = ContextVar("applyrate_open_replies", default=())
_BAD_CHARACTER: Final = re.compile("[\0\ud800-\udfff]")


def _each(given: object) -> Iterator[object]:
    if isinstance(given, str | bytes | Invocation) or not isinstance(given, Iterable):
        yield given
    else:
        yield from given
