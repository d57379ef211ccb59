"""A clock for durations that outlive a process: the wall clock at its start, and then no jumps.

What is kept on disk needs times that the next process understands. So a process reads the wall
clock once and counts on from there by the monotonic clock. Setting the machine's clock while it
runs neither makes spans wait nor forgets them.
"""

import time
from typing import Final


def steady_micros() -> int:
    """Now, in microseconds since 1970, as this process counts them."""
    return _STARTED_AT + time.monotonic_ns() // 1_000


_STARTED_AT: Final = (time.time_ns() - time.monotonic_ns()) // 1_000
