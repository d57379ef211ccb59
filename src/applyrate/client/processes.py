"""What the end of a process, and its forking, mean to whatever sends in the background."""

import atexit
import os
import sys
import time
import weakref
from typing import Final, Protocol

EXIT_SECONDS: Final = 5.0
"""How long the end of the process may wait for what is not sent yet."""


class _Background(Protocol):
    def end(self, timeout_seconds: float) -> None:
        """Begin to end."""
        ...

    def close(self, timeout_seconds: float) -> bool:
        """Wait for the end."""
        ...

    def start_over(self) -> None:
        """Be that of a forked child."""
        ...


def register(background: _Background) -> None:
    """End it with the process, and start it over in every forked child, as long as it lives."""
    _living.add(background)


_living: "weakref.WeakSet[_Background]" = weakref.WeakSet()


def _end_all() -> None:
    until = time.monotonic() + EXIT_SECONDS
    backgrounds = list(_living)
    for background in backgrounds:
        background.end(EXIT_SECONDS)
    for background in backgrounds:
        background.close(max(0.0, until - time.monotonic()))


def _start_all_over() -> None:
    for background in list(_living):
        background.start_over()
    if "multiprocessing.util" in sys.modules:
        from multiprocessing import util

        # Its children end without atexit; and what they shall do instead is forgotten until after
        # this hook.
        util.register_after_fork(_living, lambda _: util.Finalize(None, _end_all, exitpriority=0))


atexit.register(_end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_all_over)
