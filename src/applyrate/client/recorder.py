"""Recorder: tells the service what each reply of an agent had available and what it applied."""

import logging
import os
import secrets
import weakref
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar, overload

import msgspec

from applyrate.client.backlog import Backlog, MemoryBacklog
from applyrate.client.client import Client
from applyrate.client.complaints import Complaint
from applyrate.client.delivery import Delivery
from applyrate.client.invocations import noting
from applyrate.client.open_reply import OpenReply, current_reply
from applyrate.client.processes import EXIT_SECONDS
from applyrate.client.requests import checked_url, request_headers
from applyrate.errors import InvalidInput
from applyrate.intake.replies import decode_reply
from applyrate.usage import Reply

P = ParamSpec("P")
R = TypeVar("R")

MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
"""What waits in memory is never more, however few replies it is."""


class Recorder:
    """Records replies from inside an agent, which it neither delays nor breaks.

    What is told is put into a queue, and a thread sends it, every ``delay_seconds`` or so. When the
    service cannot take it, it is kept and tried again. Of what waits there are at most
    ``max_waiting_replies`` in memory; with a ``folder`` it waits there instead, at most
    ``max_folder_bytes``, and a process that comes later sends what this one could not. A folder is
    for one organization, and may be shared by several processes. ``timeout_seconds`` is for each
    step of one try.

    Usable from any thread and task, and after a fork: the child begins with an empty queue. At the
    end of the process there are up to 5 seconds to send what is left.

    Raises InvalidInput for a ``url`` or ``key`` that cannot be one, and OSError for a ``folder``
    that cannot be used, as ImportError on a system without file locks. Once it is made nothing
    that the service or the network does raises; it is logged, under the name ``applyrate``.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        folder: str | os.PathLike[str] | None = None,
        delay_seconds: float = 1.0,
        timeout_seconds: float = 10.0,
        max_waiting_replies: int = 10_000,
        max_folder_bytes: int = 256 * 1024 * 1024,
    ) -> None:
        url = checked_url(url)
        request_headers(key)
        self._delivery = Delivery(
            lambda: Client(url, key, timeout_seconds=timeout_seconds, max_retries=0),
            _backlog(folder, max_waiting_replies, max_folder_bytes),
            delay_seconds=delay_seconds,
        )
        weakref.finalize(self, self._delivery.end, EXIT_SECONDS).atexit = False
        self._mistakes = Complaint(logging.ERROR, "values were left out: %d; the last: %s")
        self._strays = Complaint(
            logging.WARNING, "invocations outside of any reply, not counted: %d; the last: %s"
        )

    def reply(
        self,
        *,
        session_id: str,
        reply_id: str | None = None,
        replied_at: datetime | None = None,
        ticket_number: int | None = None,
        last_message: str | None = None,
    ) -> OpenReply:
        """A reply of that conversation: a context manager that records it when its block ends.

        ``reply_id`` is random unless given, ``replied_at`` (UTC where it has no offset) is when the
        block ends.
        """
        return OpenReply(
            self,
            self.record,
            self._mistakes.add,
            session_id=session_id,
            reply_id=reply_id,
            replied_at=replied_at,
            ticket_number=ticket_number,
            last_message=last_message,
        )

    def current(self) -> OpenReply | None:
        """The innermost reply whose block this code runs in; None outside of any.

        asyncio tasks and ``asyncio.to_thread`` take it along from where they were started. Another
        thread does only inside ``contextvars.copy_context().run(...)``.
        """
        return current_reply(self)

    @overload
    def action(self, function: Callable[P, R], /) -> Callable[P, R]: ...
    @overload
    def action(self, name: str, /) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
    def action(self, function_or_name: Callable[..., Any] | str, /) -> Any:
        """Make a function an action, by its own name or by the one given.

        Each call is one invocation in the current reply, also one that raises. Functions,
        coroutine functions and generators of both kinds stay what they are. Raises InvalidInput for
        what has no name.
        """
        if isinstance(function_or_name, str):
            name = function_or_name
            return lambda function: noting(function, lambda: self._note(name))
        own_name = getattr(function_or_name, "__name__", None)
        if not isinstance(own_name, str):
            raise InvalidInput(f"action: {function_or_name!r} has no name; give it one")
        return noting(function_or_name, lambda: self._note(own_name))

    def record(self, reply: Reply) -> None:
        """Send a reply that is finished. One that breaks a rule is logged and counts as dropped."""
        try:
            line = msgspec.json.encode(reply)
            decode_reply(line)
        except InvalidInput as error:
            self._delivery.drop(f"it breaks a rule: {error.message}")
        except (TypeError, ValueError, RecursionError) as error:
            self._delivery.drop(f"it is no reply: {error}")
        else:
            self._delivery.add(line)

    @property
    def dropped_count(self) -> int:
        """How many replies are lost: no room, closed, refused by the service, breaking a rule."""
        return self._delivery.dropped_count

    def flush(self, timeout_seconds: float = 10.0) -> bool:
        """Wait until all that was told before is settled: on disk there, or refused.

        False where it was not in that time; it is then still being tried.
        """
        return self._delivery.flush(timeout_seconds)

    def close(self, timeout_seconds: float = 5.0) -> bool:
        """Send what is left, for so long at most, and take no more; whether all was settled.

        What is left after that is dropped, unless it is in a folder.
        """
        self._mistakes.tell()
        self._strays.tell()
        return self._delivery.close(timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _note(self, action: str) -> None:
        if reply := self.current():
            reply.invoked(action, f"call_{secrets.token_hex(8)}")
        else:
            self._strays.add(action)


def _backlog(
    folder: str | os.PathLike[str] | None, max_waiting_replies: int, max_folder_bytes: int
) -> Backlog:
    if folder is None:
        return MemoryBacklog(max_waiting_replies, MAX_WAITING_BYTES)
    from applyrate.client.folder import FolderBacklog  # for systems that have file locks

    return FolderBacklog.open(Path(folder), max_folder_bytes)
