"""How long to wait before the next try: exponential backoff with full jitter.

Full jitter, a random time between nothing and the whole delay, spreads the tries of many clients
that failed together better than any narrower one (Brooker, "Exponential Backoff And Jitter", 2015).
"""

import random


def backoff_seconds(attempt: int, *, first: float, longest: float) -> float:
    """The time to wait after the attempt of that number, counted from 0."""
    delay = min(longest, first * 2 ** min(attempt, 30))
    return random.uniform(0, delay)  # noqa: S311 (no secret)
