"""Lines turned into what they say, in this process or in others beside it.

There is one writer, and while it records, other cores can read what comes next. A piece of the file
goes to another process as it stands and comes back as replies, in the order of the file; only so
many are under way that memory stays bounded.
"""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any, Final

import msgspec
from msgspec import Struct

from applyrate.errors import ApplyrateError, InvalidInput
from applyrate.intake.bounds import Bounds
from applyrate.intake.lines import Line
from applyrate.intake.replies import decode_reply
from applyrate.intake.transcripts import Transcript
from applyrate.usage import Applied, Available, Invocation

Read = Callable[[bytes], Transcript]
"""Reads a line that is not blank; raises InvalidInput for a bad one."""

_PIECE_LINES: Final = 1_000
_PIECE_BYTES: Final = 1024 * 1024
_PIECES_AHEAD: Final = 4
"""How many pieces each process may be ahead of the writer; a commit takes a few of them."""
_PIECES_HERE: Final = 4
"""The first ones are read here, while the processes start; a short file needs none."""


class ReaderLost(ApplyrateError):
    """A process that reads lines has ended."""


class ReadLine(Struct, frozen=True):
    """What a line says, or the fault for which it is not taken."""

    number: int
    transcript: Transcript | None = None
    fault: str | None = None


def read_reply(raw: bytes) -> Transcript:
    """A line that is a reply, as ``POST /replies`` takes it. Raises InvalidInput."""
    reply = decode_reply(raw)
    return Transcript(reply.session_id, [reply])


def read_within(bounds: Bounds, read: Read, raw: bytes) -> Transcript:
    """What ``read`` makes of a line, where it keeps to the bounds. Raises InvalidInput."""
    transcript = read(raw)
    for reply in transcript.replies:
        bounds.check(reply)
    return transcript


def read_lines(lines: Iterable[Line], read: Read, *, beside: int = 0) -> Iterator[ReadLine]:
    """What the lines say, in their order; read by so many processes ``beside``, or else here.

    ``read`` goes to them by pickle. Raises ReaderLost where one of them ends.
    """
    return _read_beside(lines, read, beside) if beside else (_read(line, read) for line in lines)


def _read_beside(lines: Iterable[Line], read: Read, process_count: int) -> Iterator[ReadLine]:
    pool = ProcessPoolExecutor(process_count, get_context("spawn"), _end_with_parent)
    under_way: deque[Callable[[], list[ReadLine]]] = deque()
    try:
        for number, piece in enumerate(_pieces(lines)):
            if number < _PIECES_HERE:
                under_way.append(partial(_read_all, piece, read))
            else:
                with _interrupts_held_back():
                    under_way.append(pool.submit(_read_to_send, _LINES.encode(piece), read).result)
            if len(under_way) > _PIECES_AHEAD * process_count:
                yield from under_way.popleft()()
        while under_way:
            yield from under_way.popleft()()
    except BrokenProcessPool as error:
        raise ReaderLost(
            "a process that reads lines was ended from outside; what is recorded stays, import the"
            " file again for the rest of it"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _pieces(lines: Iterable[Line]) -> Iterator[list[Line]]:
    piece: list[Line] = []
    byte_count = 0
    for line in lines:
        piece.append(line)
        byte_count += len(line.raw)
        if len(piece) >= _PIECE_LINES or byte_count >= _PIECE_BYTES:
            yield piece
            piece, byte_count = [], 0
    if piece:
        yield piece


def _read_to_send(packed: bytes, read: Read) -> list[ReadLine]:
    """In another process. Each name is sent once, and then hashed once by whoever looks it up."""
    said = _read_all(_PACKED.decode(packed), read)
    known: dict[str | Invocation, str | Invocation] = {}
    for line in said:
        for reply in line.transcript.replies if line.transcript else ():
            for names in (*_lists(reply.available), *_lists(reply.applied)):
                names[:] = [known.setdefault(name, name) for name in names]
    return said


def _lists(resources: Available | Applied) -> tuple[list[Any], list[Any], list[Any]]:
    return resources.instruction, resources.knowledge, resources.action


def _read_all(lines: Iterable[Line], read: Read) -> list[ReadLine]:
    return [_read(line, read) for line in lines]


def _read(line: Line, read: Read) -> ReadLine:
    if line.fault is not None:
        return ReadLine(line.number, fault=line.fault)
    try:
        return ReadLine(line.number, read(line.raw))
    except InvalidInput as error:
        return ReadLine(line.number, fault=error.message)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """A process that is started meanwhile never hears of Ctrl-C: it ends with this one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_LINES: Final = msgspec.msgpack.Encoder()
_PACKED: Final = msgspec.msgpack.Decoder(list[Line])


def _end_with_parent() -> None:
    """Let no process be left over when the one that reads the file is killed."""
    Thread(target=_end_after, args=(parent_process(),), daemon=True).start()


def _end_after(parent: BaseProcess | None) -> None:
    if parent:
        parent.join()
    os._exit(1)
