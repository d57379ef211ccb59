"""Measure the dashboard's pages with 20,000 resources and 5 million replies.

    python -m bench.dashboard [--replies N] [--keep]

Each page's HTML, from the request on a kept connection to its last byte, uncompressed, the service
in a process of its own. *First* is the first time that the page is asked for in that service.
"""

import argparse
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlencode

import httpx
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from applyrate.dashboard.sessions import make_link
from applyrate.keys import digest
from applyrate.store import Store, open_store
from applyrate.usage import ResourceSort, ResourceType, UnusedReason, Window
from bench.building import Cache, mark_handed_off, record_replies, store_sources
from bench.generator import DAYS, FIRST_DAY, ORG, Catalogue, Workload
from bench.serving import serving
from bench.timing import WrongAnswer, spread_of
from bench.warmth import Warmth

REPLIES = 5_000_000
ROUNDS = 15
WANTED_SECONDS = 0.1
WIDTH = 120

CATALOGUES = (
    Catalogue(ResourceType.INSTRUCTION, "ins", 400, 0.9, 19, 26, (0, 1, 1, 2), 4096, 0.7),
    Catalogue(ResourceType.KNOWLEDGE, "kb", 19_500, 0.9, 7, 11, (0, 1, 1, 2), 65_536, 0.3),
    Catalogue(ResourceType.ACTION, "act", 100, 0.8, 2, 6, (0, 0, 1, 1, 1, 2), 1024, 0.9),
)

_CACHE = Path(__file__).resolve().parent.parent / ".cache" / "bench"
_BATCH = 20_000
"""Replies a commit, far more than a service would take at once: only the filling is quicker."""


def main() -> None:
    """Build what is not built yet, ask for every page, and print the table."""
    arguments = _parse_arguments()
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    cache = Cache(_CACHE / f"dashboard-{arguments.replies}", keep=arguments.keep)
    with Progress(console=console) as progress:
        folder = cache.build(
            "store", store_sources(), lambda folder: _fill(folder, arguments.replies, progress)
        )
    with closing(open_store(folder)) as store:
        pages = list(_pages(store))
    with serving(folder, ORG) as (url, key), httpx.Client(base_url=url, timeout=60) as client:
        _sign_in(client, folder, key)
        table = Table("page", "first", "p50", "least", "most", "kB", "reached")
        keep_warm = Warmth([folder]).keep
        for page in pages:
            keep_warm()
            table.add_row(*_ask(client, page))
    console.print(table)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.dashboard", description=main.__doc__)
    parser.add_argument("--replies", type=int, default=REPLIES, metavar="N")
    parser.add_argument(
        "--keep", action="store_true", help="use built data although the code has changed since"
    )
    return parser.parse_args()


def _fill(folder: Path, replies: int, progress: Progress) -> None:
    task = progress.add_task("Drawing the replies", total=1)
    workload = Workload(replies, catalogues=CATALOGUES)
    progress.update(task, completed=1)
    with closing(open_store(folder)) as store:
        record_replies(store, workload, replies, progress, _BATCH)
        mark_handed_off(store, workload.org, workload.handed_off_before(replies), progress)


class Page(NamedTuple):
    """A page with a window picked anew each time; ``bounds`` are the least and most days of one."""

    name: str
    path: str
    query: Mapping[str, str] = MappingProxyType({})
    bounds: tuple[int, int] = (30, 30)

    def urls(self) -> Iterator[str]:
        """Its URL with one window after another, the same ones every time."""
        dice = random.Random(self.name)
        while True:
            length = dice.randint(*self.bounds)
            first = FIRST_DAY + timedelta(days=dice.randrange(DAYS - length))
            last = first + timedelta(days=length - 1)
            window = (
                {"from": str(first), "to": str(last)} if length < DAYS - 1 else {"preset": "all"}
            )
            yield f"{self.path}?{urlencode({**window, **self.query})}"


_ALWAYS = (DAYS - 1, DAYS - 1)


def _pages(store: Store) -> Iterator[Page]:
    for resource_type in ResourceType:
        named = {"type": resource_type.value}
        yield Page(f"Overview, {resource_type}", "/dashboard", named)
        yield Page(f"Unused, {resource_type}", "/dashboard/unused", named)
    knowledge = {"type": ResourceType.KNOWLEDGE.value}
    for name, path in (("Overview", "/dashboard"), ("Unused", "/dashboard/unused")):
        yield from _windows(f"{name} of knowledge", path, knowledge)
        yield Page("the same, page 9", path, {**knowledge, "page": "9"})
    yield Page("Overview, searched", "/dashboard", {**knowledge, "search": "a1"})
    for sort, order in product(ResourceSort, ("asc", "desc")):
        query = {**knowledge, "sort": sort.value, "order": order}
        yield Page(f"the same by {sort}, {order}", "/dashboard", query)
    for reason in UnusedReason:
        query = {**knowledge, "reason": reason.value}
        yield Page(f"Unused, {reason}", "/dashboard/unused", query)
    for name, query in _resources(store):
        yield Page(f"Resource, {name}", "/dashboard/resource", query)
        yield from _windows("the same", "/dashboard/resource", query)
    yield Page("Conversation", "/dashboard/conversation", {"id": _session_id(store)})
    yield Page("Intake", "/dashboard/intake")
    yield Page("Keys", "/dashboard/keys")


def _windows(name: str, path: str, query: Mapping[str, str]) -> Iterator[Page]:
    """A page by the hour, in a week, in a quarter, in all time and in another time zone."""
    yield Page(f"{name}, 2 days", path, query, (2, 2))
    yield Page("the same, 7 days", path, query, (7, 7))
    yield Page("the same, 90 days", path, query, (90, 90))
    yield Page("the same, all time", path, query, _ALWAYS)
    yield Page("the same, Berlin's days", path, {**query, "timezone": "Europe/Berlin"})


def _resources(store: Store) -> Iterator[tuple[str, dict[str, str]]]:
    """The most available instruction, a usual item of knowledge and a rare one."""
    for name, resource_type, place in (
        ("hot", ResourceType.INSTRUCTION, 0.0),
        ("mid", ResourceType.KNOWLEDGE, 0.02),
        ("cold", ResourceType.KNOWLEDGE, 0.9),
    ):
        ranked = store.ranked(
            ORG, resource_type, Window(), sort=ResourceSort.AVAILABLE, limit=1, offset=0
        )
        offset = int(place * ranked.match_count)
        ranked = store.ranked(
            ORG, resource_type, Window(), sort=ResourceSort.AVAILABLE, limit=1, offset=offset
        )
        (row,) = ranked.items
        told = f"{name} ({row.available_replies:,} replies)"
        yield told, {"type": resource_type.value, "id": row.resource_id}


def _session_id(store: Store) -> str:
    window = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))
    (hot,) = store.ranked(ORG, ResourceType.INSTRUCTION, window, limit=1).items
    page = store.conversations(ORG, ResourceType.INSTRUCTION, hot.resource_id, window, limit=1)
    return page.items[0].session_id


def _ask(client: httpx.Client, page: Page) -> Sequence[str]:
    urls = page.urls()
    (first,), size = _time(client, [next(urls)])
    taken, size = _time(client, [next(urls) for _ in range(ROUNDS)])
    spread = spread_of(taken)
    figures = (first, spread.median, spread.least, spread.most)
    reached = "yes" if spread.median < WANTED_SECONDS else "no"
    return [page.name, *(f"{1000 * seconds:.1f} ms" for seconds in figures), f"{size:.0f}", reached]


def _time(client: httpx.Client, urls: Sequence[str]) -> tuple[list[float], float]:
    """The seconds that each took, and the size of the last one in kB."""
    taken = []
    size = 0
    for url in urls:
        start = time.perf_counter()
        answer = client.get(url, headers={"Accept": "text/html", "Accept-Encoding": "identity"})
        taken.append(time.perf_counter() - start)
        if answer.status_code != httpx.codes.OK:
            raise WrongAnswer(f"{url}: {answer.status_code}\n{answer.text}")
        size = len(answer.content)
    return taken, size / 1000


def _sign_in(client: httpx.Client, folder: Path, key: str) -> None:
    """By a link: the form would do no more."""
    with closing(open_store(folder)) as store:
        known = store.find_key(digest(key))
        if known is None:
            raise WrongAnswer("the service's key is not in its store")
        link = make_link(store, known, datetime.now(UTC))
    answer = client.get(f"/dashboard/open/{link}")
    if "set-cookie" not in answer.headers:
        raise WrongAnswer(f"signing in: {answer.status_code}\n{answer.text}")


if __name__ == "__main__":
    main()
