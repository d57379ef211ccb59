"""Commands that work beside the service in the storm, and may be killed, too."""

import shutil
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import httpx
import msgspec

from applyrate.store import Store, open_store
from applyrate.usage import ResourceType, Window
from tests import commands
from tests.storm_checks import check_folder, check_whole, read_usages
from tests.storm_clients import Acknowledged
from tests.storm_replies import AGING, ORG, chance, old_replies, reply

if TYPE_CHECKING:
    from collections import Counter

IMPORTED_REPLIES = 3_000
OLD_REPLIES = 400
KEPT_DAYS = 30
PATIENCE_SECONDS = 120


class Command(Protocol):
    """A command of a life: it may run in any of its rounds."""

    def prepare(self, store: Store) -> None:
        """Before the service of a round starts."""

    def start(self, aging: httpx.Client, /) -> None:
        """Begin, beside the service. The client is of the organization AGING."""

    def end(self, *, kill: bool) -> None:
        """Kill it or let it finish, and see that it left nothing by half."""


class _Process:
    """A running command."""

    def __init__(self, *arguments: object) -> None:
        self._name = arguments[0]
        self._running = commands.start_process(*arguments, stdout=subprocess.DEVNULL)

    def is_done(self, *, kill: bool) -> bool:
        """Whether it has finished, and not been killed before. Raises AssertionError."""
        if kill:
            self._running.kill()
        status = self._running.wait(PATIENCE_SECONDS)
        assert status == 0 or (kill and status < 0), f"{self._name} failed"
        return status == 0


class Import:
    """Imports a file of replies; some of the time the file that was broken off before."""

    def __init__(self, data: Path, known: Acknowledged, figures: "Counter[str]") -> None:
        self._data = data
        self._known = known
        self._figures = figures
        self._number = 0
        self._names: list[str] = []

    def prepare(self, store: Store) -> None: ...

    def start(self, _: httpx.Client, /) -> None:
        if not self._names or chance.random() < 0.6:
            self._number += 1
            self._names = [f"i{self._number}-{place}" for place in range(IMPORTED_REPLIES)]
        file = self._data.with_name(f"{self._data.name}-{self._number}.ndjson")
        file.write_bytes(b"\n".join(msgspec.json.encode(reply(name)) for name in self._names))
        told = ("--format", "replies", "--org", ORG, "--data", self._data)
        self._process = _Process("import", file, *told)

    def end(self, *, kill: bool) -> None:
        if self._process.is_done(kill=kill):
            self._known.replies.update(self._names)
            self._figures["replies acknowledged to imports"] += len(self._names)
        else:
            self._figures["kills of an import"] += 1


class Backup:
    """Copies the folder: what has a backup's name has all that was acknowledged before."""

    def __init__(self, data: Path, known: Acknowledged, figures: "Counter[str]") -> None:
        self._data = data
        self._known = known
        self._figures = figures
        self._target = data.with_name(f"{data.name}-backup")

    def prepare(self, store: Store) -> None: ...

    def start(self, _: httpx.Client, /) -> None:
        self._before = self._known.snapshot()
        self._process = _Process("backup", self._target, "--data", self._data)

    def end(self, *, kill: bool) -> None:
        if not self._process.is_done(kill=kill):
            self._figures["kills of a backup"] += 1
        elif not self._target.exists():
            raise AssertionError("there is no backup")
        if self._target.exists():
            check_folder(self._target, self._before)
            self._figures["backups found whole"] += 1
            shutil.rmtree(self._target)


class Retention:
    """Removes what is too old, by itself or as the service does, the oldest first."""

    def __init__(self, data: Path, figures: "Counter[str]") -> None:
        self._data = data
        self._figures = figures
        self._old: list[str] = []
        self._young: set[str] = set()
        self._process: _Process | None = None

    def prepare(self, store: Store) -> None:
        store.set_retention(AGING, KEPT_DAYS if self._old else None)

    def start(self, aging: httpx.Client, /) -> None:
        self._process = None
        if self._old:
            return  # a kill left them, and the service goes on with them
        old = old_replies(OLD_REPLIES)
        yesterday = datetime.now(UTC) - timedelta(days=1)
        young = {f"{name}-young": yesterday for name in list(old)[:20]}
        for some in (old, young):
            answer = aging.post("/replies", json=[reply(*one) for one in some.items()])
            assert answer.json()["accepted"] == len(some), answer.text
        self._old = list(old)
        self._young.update(young)
        told = ("--days", KEPT_DAYS, "--now", "--org", AGING, "--data", self._data)
        self._process = _Process("retention", *told)

    def end(self, *, kill: bool) -> None:
        is_done = self._process and self._process.is_done(kill=kill)
        with closing(open_store(self._data)) as store:
            found = read_usages(store, AGING)
            counted = store.summary(AGING, ResourceType.INSTRUCTION, "ins", Window())
        assert counted.available_replies == len(found)
        check_whole(found)
        left = [name for name in self._old if name in found]
        assert left == self._old[len(self._old) - len(left) :], "a younger one went before"
        assert found.keys() == {*left, *self._young}, "it removed what is young, or kept a half"
        assert not (is_done and left)
        if left and len(left) < len(self._old):
            self._figures["kills amid a retention"] += 1
        self._figures["replies removed by retention"] += len(self._old) - len(left)
        self._old = left


def open_in_a_process(data: Path) -> "subprocess.Popen[bytes]":
    """A process that opens a data folder, and changes its tables first; it is just about to."""
    script = (
        "import sys; from pathlib import Path; from applyrate.store import open_store;"
        "import applyrate.store.sqlite; print(flush=True); open_store(Path(sys.argv[1]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(data)], stdout=subprocess.PIPE, env=commands.ENVIRON
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdout.close()
    return process
