"""The progress of recording many replies, on stderr and only where that is a terminal."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from applyrate.cli.terminal import stderr


@contextmanager
def reply_progress(
    words: str, total: float | None, *, shown: bool = True
) -> Iterator[Callable[[float, int], None]]:
    """A bar with the rate of recording and the remaining time.

    Tell it how much of ``total`` is done, and how many replies that made. Without a total there is
    no end in sight: it shows the count and the rate.
    """
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    known_end = total is not None
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None if known_end else 10),
        *([TaskProgressColumn()] if known_end else []),
        TextColumn("{task.fields[replies]:,} replies", style="bold"),
        TextColumn("{task.fields[rate]:,.0f}/s", style="green"),
        *([TimeRemainingColumn()] if known_end else []),
        console=stderr(),
        disable=not (shown and stderr().is_terminal),
        expand=known_end,
    )
    with progress:
        task = progress.add_task(words, total=total, replies=0, rate=0.0)
        started_at = time.monotonic()

        def show(done: float, replies: int) -> None:
            rate = replies / max(time.monotonic() - started_at, 0.001)
            progress.update(task, completed=done, replies=replies, rate=rate)

        yield show
