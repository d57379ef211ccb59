"""What it costs to be seen: ``python -m bench.observing [--requests N]``.

Empty requests (``GET /health/live``) go in turns to services that are the same but for what watches
each request, so that whatever else the machine does falls on all of them alike. The first of them
watches nothing, which no service does that is not measured here.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from bench.serving import running

_UNSEEN = "from applyrate.api import app; app.Observed = lambda inner, *_: inner;"
_SERVE = (
    "from applyrate.api.serving import serve; from applyrate.settings import load_settings;"
    "serve(load_settings(), lambda address: print(address, flush=True)); import os; os._exit(0)"
)
_KINDS = {
    "nothing": (_UNSEEN, {}),
    "metrics": ("", {}),
    "metrics and access log": ("", {"APPLYRATE_ACCESS_LOG": "on", "APPLYRATE_LOG_FORMAT": "json"}),
}
_REQUESTS_IN_A_TURN = 100


def main() -> None:
    """Measure, and print the median time of a request to each service."""
    parser = argparse.ArgumentParser(prog="python -m bench.observing", description=main.__doc__)
    parser.add_argument("--requests", type=int, default=10_000, metavar="N", help="to each service")
    turns = max(1, parser.parse_args().requests // _REQUESTS_IN_A_TURN)
    with ExitStack() as stack:
        asked = {name: stack.enter_context(_serving(name)) for name in _KINDS}
        seconds: dict[str, list[float]] = {name: [] for name in asked}
        for turn in range(turns + 1):
            for name, ask in asked.items():
                measured = [_time(ask) for _ in range(_REQUESTS_IN_A_TURN)]
                if turn:  # the first one warms up
                    seconds[name] += measured
    least = statistics.median(seconds["nothing"])
    for name, measured in seconds.items():
        median = statistics.median(measured)
        print(f"{name:24} {median * 1e6:8.1f} µs   {median / least:.3f} times")


@contextmanager
def _serving(kind: str) -> Iterator[Callable[[], None]]:
    """A service that watches as its kind says; asks it one empty request."""
    before, settings = _KINDS[kind]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        data = {"APPLYRATE_DATA": str(Path(folder) / "data"), "APPLYRATE_PORT": "0", **settings}
        log = stack.enter_context((Path(folder) / "log").open("wb"))
        url = stack.enter_context(running([sys.executable, "-c", before + _SERVE], data, log))
        connection = HTTPConnection(urlsplit(url).netloc)
        stack.callback(connection.close)

        def ask() -> None:
            connection.request("GET", "/health/live")
            connection.getresponse().read()

        yield ask


def _time(ask: Callable[[], None]) -> float:
    began_at = time.perf_counter()
    ask()
    return time.perf_counter() - began_at


if __name__ == "__main__":
    main()
