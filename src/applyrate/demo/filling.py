"""The simulated agent's days into a data folder, once."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from applyrate.demo.catalogue import catalogue
from applyrate.demo.simulation import simulate
from applyrate.errors import InvalidInput
from applyrate.store import Store
from applyrate.usage import Recording


class Plan(Struct, frozen=True):
    """What a demo folder holds: so many days up to a moment, once ``filled`` says so.

    It lies beside the data, so that a filling that was interrupted goes on with the same days.
    """

    end_at: datetime
    days: int
    filled: bool = False


def plan(data: Path, end_at: datetime, days: int) -> Plan:
    """What was planned for a folder, or else, where it holds no data yet, these days.

    Raises InvalidInput for a folder that holds data of another origin.
    """
    file = data / _FILE
    if file.exists():
        return msgspec.json.decode(file.read_bytes(), type=Plan)
    if data.exists() and any(data.iterdir()):
        raise InvalidInput(
            f"--data: {str(data)!r} holds something that the demo did not make; "
            "name a folder that is empty or not there yet"
        )
    planned = Plan(end_at, days)
    _write(data, planned)
    return planned


def fill(data: Path, store: Store, org: str, planned: Plan) -> Iterator[tuple[int, int]]:
    """Record what is planned; yields how many days are done and how many replies they brought."""
    replies = 0
    for done, day in enumerate(simulate(planned.end_at, planned.days), start=1):
        store.record([Recording(org, day.replies)])
        store.set_conversations(org, day.facts)
        replies += len(day.replies)
        yield done, replies
    store.set_catalogue(org, list(catalogue(planned.end_at)))
    _write(data, msgspec.structs.replace(planned, filled=True))


_FILE = "demo.json"


def _write(data: Path, planned: Plan) -> None:
    data.mkdir(parents=True, exist_ok=True)
    draft = data / f"{_FILE}.draft"
    draft.write_bytes(msgspec.json.encode(planned))
    draft.replace(data / _FILE)
