"""Signals that end the service, none of which is lost.

asyncio has signals and its own wake-ups come through one pipe, and a signal that finds it full is
lost: so it is while hundreds of connections end at once. Here signals have a pipe of their own.
"""

import asyncio
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import FrameType


@contextmanager
def signals_set(event: asyncio.Event, numbers: Sequence[signal.Signals]) -> Iterator[None]:
    """Let any of these signals set an event of the running loop, which is the main thread's."""
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        reader, writer = map(stack.enter_context, socket.socketpair())
        for end in (reader, writer):
            end.settimeout(0)

        def read() -> None:
            if not set(numbers).isdisjoint(reader.recv(_MANY)):
                event.set()

        loop.add_reader(reader, read)
        stack.callback(loop.remove_reader, reader)
        stack.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(writer.fileno()))
        for number in numbers:
            # The C handler writes to the pipe only of a signal that Python handles, too.
            stack.callback(signal.signal, number, signal.signal(number, _pass))
        yield


_MANY = 4_096


def _pass(number: int, frame: FrameType | None) -> None:
    """Leave it to the pipe."""
