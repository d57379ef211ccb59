"""A storm of kills: a service and its commands, killed at random moments while all work on it.

``python -m tests.kill_storm --rounds 200`` prints what was acknowledged and checked. In each round
clients record, set facts, send traces in two halves, erase and ask, a file is imported, and a
backup is made or what is too old removed, until the service is killed (SIGKILL) and, half of the
time, a command, too. A life is some rounds on one data folder. In the first round of a life the
service is killed while it makes its tables, or while those of an older version are changed.

After every round the folder is opened again. Everything that was acknowledged in this life must be
there, nothing may be there or erased by half, nothing that was erased may be there again, and no
check may find a fault. At the end of a life a service runs until nothing waits: then every trace is
a reply with all that was acknowledged of it.
"""

import argparse
import random
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import httpx

from applyrate.intake.inbox import FILE as INBOX
from applyrate.intake.inbox import Inbox
from applyrate.keys import digest, issue_key
from applyrate.store import FILE, Store, open_store, store_exists
from tests import commands, older
from tests.servers import end_process, running_server, start_process
from tests.storm_checks import check_derived, check_folder
from tests.storm_clients import WORKS, Acknowledged, Worker
from tests.storm_commands import Backup, Command, Import, Retention, open_in_a_process
from tests.storm_replies import AGING, ORG, chance, decoded

ROUNDS_OF_A_LIFE = 10
CLIENTS_OF_EACH = 2
OLDER_REPLIES = 300
KILLS_OF_A_CHANGE = 4


def main() -> None:
    """Run the storm that the arguments ask for, and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    told = parser.parse_args()
    chance.seed(told.seed)
    print(f"seed {told.seed}", flush=True)
    started_at = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="applyrate-storm-") as folder:
        figures = run_storm(Path(folder), told.rounds)
    print(f"{told.rounds} rounds in {time.monotonic() - started_at:.0f} s; nothing was lost")
    for name, figure in sorted(figures.items()):
        print(f"{figure:>11,}  {name}")


def run_storm(
    folder: Path, rounds: int, *, rounds_of_a_life: int = ROUNDS_OF_A_LIFE
) -> "Counter[str]":
    """That many rounds, each checked; what was done, by its name. Raises AssertionError."""
    figures: Counter[str] = Counter()
    for first in range(0, rounds, rounds_of_a_life):
        number = first // rounds_of_a_life
        life = Life(folder / f"life{number}", figures)
        begin = life.begin_anew if number % 2 == 0 else life.begin_older
        begin()
        life.check()
        for more in range(first + 1, min(first + rounds_of_a_life, rounds)):
            life.go_on(more)
            life.check()
        life.end()
    return figures


class Life:
    """One data folder, what was acknowledged on it, and the commands that work on it."""

    def __init__(self, data: Path, figures: "Counter[str]") -> None:
        self._data = data
        self._figures = figures
        self._known = Acknowledged()
        self._importing: Command = Import(data, self._known, figures)
        self._others: list[Command] = [
            Backup(data, self._known, figures),
            Retention(data, figures),
        ]

    def begin_anew(self) -> None:
        """Kill a service while it starts for the first time, at whichever moment."""
        process = commands.start_process(
            *("serve", "--data", self._data, "--port", 0),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while not self._data.exists() and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.1))
        process.kill()
        process.wait()
        self._figures["kills while the tables were made"] += 1

    def begin_older(self) -> None:
        """Kill who opens a folder of an older version, while its tables are changed."""
        names = [f"o{number}" for number in range(OLDER_REPLIES)]
        older.make_older(self._data, ORG, [decoded(name) for name in names])
        self._known.replies.update(names)
        self._known.facts.update({decoded(name).session_id: older.STATUS for name in names})
        for _ in range(KILLS_OF_A_CHANGE):
            process = open_in_a_process(self._data)
            time.sleep(chance.uniform(0, 0.02))
            process.kill()
            process.wait()
            if is_older(self._data):
                self._figures["kills before the tables were changed"] += 1
            else:
                self._figures["kills after the tables were changed"] += 1
                break

    def go_on(self, number: int) -> None:
        """One round: everybody at work until the kill."""
        beside = [self._importing, chance.choice(self._others)]
        with closing(open_store(self._data)) as store:
            key, aging_key = (_add_key(store, org) for org in (ORG, AGING))
            for command in beside:
                command.prepare(store)
        process, url = start_process(self._data, trace_quiet_seconds=0)
        worker = Worker(url, key, self._known, self._figures)
        threads = [
            threading.Thread(target=worker.work, args=(work, f"{number}-{client}"))
            for work in WORKS
            for client in range(CLIENTS_OF_EACH)
        ]
        headers = {"Authorization": f"Bearer {aging_key}"}
        try:
            with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
                for thread in threads:
                    thread.start()
                for command in beside:
                    command.start(client)
            time.sleep(chance.uniform(0.2, 2))
        finally:
            process.kill()
            for thread in threads:
                thread.join()
            end_process(process)
        self._figures["kills of the service at work"] += 1
        for command in beside:
            command.end(kill=chance.random() < 0.5)
        for failure in worker.failures:
            raise failure

    def check(self) -> None:
        """Open the folder again: nothing is lost, nothing is there by half, nothing is wrong."""
        if store_exists(self._data):
            self._figures.update(check_folder(self._data, self._known))
        else:
            assert not self._known.replies
        self._figures["rounds"] += 1

    def end(self) -> None:
        """Let a service run until nothing waits for it, and look at all of it once more."""
        with running_server(self._data, trace_quiet_seconds=0):
            deadline = time.monotonic() + 120
            with closing(Inbox(self._data / INBOX, max_spans=1)) as inbox:
                while inbox.load().waiting_trace_count:
                    assert time.monotonic() < deadline, "traces are not derived"
                    time.sleep(0.1)
        check_folder(self._data, self._known)
        self._figures["traces derived whole"] += check_derived(self._data, self._known)


def is_older(data: Path) -> bool:
    """Whether the store's tables are still those of the first version."""
    with closing(sqlite3.connect(data / FILE)) as db:
        return db.execute("SELECT name FROM migration").fetchall() == [(older.FIRST,)]


def _add_key(store: Store, org: str) -> str:
    key, kept = issue_key(org, "storm", scopes=None, created_at=datetime.now(UTC))
    store.add_key(kept, digest(key))
    return key


if __name__ == "__main__":
    main()
