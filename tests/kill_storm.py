"""A storm of kills: a service and its commands, killed at random moments while all work on it.

``python -m tests.kill_storm --rounds 200`` prints what was acknowledged and checked. In each round
clients record, set facts, send traces in two halves, erase, ask, and import a file, until the
service is killed (SIGKILL). A life is some rounds on one data folder; in its first round the
service is killed while it makes its tables. After every round the folder is opened again, and
everything that was acknowledged in this life must be there, nothing may be there or erased by half,
nothing that was erased may be there again, and no check may find a fault.
"""

import argparse
import random
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from enum import Enum
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import msgspec

from applyrate.backups import check_files
from applyrate.intake.inbox import FILE as INBOX
from applyrate.keys import digest, issue_key
from applyrate.store import Store, open_store, store_exists
from applyrate.usage import ResourceType, UsageKind, Window
from tests import commands
from tests.servers import end_process, start_process

ORG = "acme"
AT = "2026-03-01T10:00:00Z"
ROUNDS_OF_A_LIFE = 10
CLIENTS_OF_EACH = 2
IMPORTED_REPLIES = 3_000

_random = random.Random()  # noqa: S311 (no secret)


def main() -> None:
    """Run the storm that the arguments ask for, and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    rounds: int = parser.parse_args().rounds
    started_at = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="applyrate-storm-") as folder:
        figures = run_storm(Path(folder), rounds)
    print(f"{rounds} rounds in {time.monotonic() - started_at:.0f} s; nothing was lost")
    for name, figure in figures.items():
        print(f"{figure:>9,}  {name}")


def run_storm(folder: Path, rounds: int) -> "Counter[str]":
    """That many rounds, each checked; what was done, by its name. Raises AssertionError."""
    figures: Counter[str] = Counter()
    for number in range(rounds):
        if number % ROUNDS_OF_A_LIFE == 0:
            life = Life(folder / f"life{number // ROUNDS_OF_A_LIFE}", figures)
            life.begin()
        else:
            life.go_on(number)
        life.check()
    return figures


class Fate(Enum):
    """What becomes of a conversation that is to be erased, as far as it was acknowledged."""

    RECORDED = "it is there with its replies"
    ERASING = "it is there with its replies, or gone"
    ERASED = "it is gone"


class Life:
    """One data folder, and what was acknowledged on it."""

    def __init__(self, data: Path, figures: "Counter[str]") -> None:
        self.data = data
        self.figures = figures
        self.replies: set[str] = set()
        self.facts: dict[str, str] = {}
        self.spans: set[str] = set()
        self.to_erase: dict[str, Fate] = {}
        self._imports = 0

    def begin(self) -> None:
        """Kill a service while it starts for the first time, at whichever moment."""
        process = commands.start_process(
            *("serve", "--data", self.data, "--port", 0),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 30
        while not self.data.exists() and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(_random.uniform(0, 0.1))
        process.kill()
        process.wait()
        self.figures["kills while the tables were made"] += 1

    def go_on(self, number: int) -> None:
        """One round: everybody at work until the kill."""
        key, kept = issue_key(ORG, "storm", scopes=None, created_at=_now())
        with closing(open_store(self.data)) as store:
            store.add_key(kept, digest(key))
        process, url = start_process(self.data, trace_quiet_seconds=0)
        worker = Worker(self, url, key)
        threads = [
            threading.Thread(target=worker.work, args=(work, f"{number}-{client}"))
            for work in WORKS
            for client in range(CLIENTS_OF_EACH)
        ]
        for thread in threads:
            thread.start()
        importing, lines = self._start_import(number)
        time.sleep(_random.uniform(0.2, 1.2))
        process.kill()
        if _random.random() < 0.5:
            importing.kill()
        for thread in threads:
            thread.join()
        end_process(process)
        self.figures["kills of the service at work"] += 1
        if importing.wait(60) == 0:
            self.replies.update(lines)
            self.figures["replies acknowledged to imports"] += len(lines)
        else:
            assert importing.returncode < 0, "the import failed"
            self.figures["kills of an import"] += 1
        for failure in worker.failures:
            raise failure

    def check(self) -> None:
        """Open the folder again: nothing is lost, nothing is there by half, nothing is wrong."""
        if not store_exists(self.data):
            assert not self.replies
            return
        faults = list(check_files(self.data))
        assert faults == []
        with closing(open_store(self.data)) as store:
            self._check_replies(store)
            self._check_erased(store)
            for session_id, status in self.facts.items():
                conversation = store.conversation(ORG, session_id)
                assert conversation is not None, session_id
                assert conversation.status == status
        kept = set[str]()
        if (self.data / INBOX).exists():
            with closing(sqlite3.connect(self.data / INBOX)) as db:
                kept = {name for (name,) in db.execute("SELECT span_id FROM span")}
        assert self.spans <= kept, f"{len(self.spans - kept)} spans are lost"
        self.figures["acknowledged replies looked for"] += len(self.replies)
        self.figures["acknowledged spans looked for"] += len(self.spans)
        self.figures["acknowledged facts looked for"] += len(self.facts)
        self.figures["acknowledged erasures looked for"] += sum(
            fate is Fate.ERASED for fate in self.to_erase.values()
        )

    def _check_replies(self, store: Store) -> None:
        found: defaultdict[str, set[_Used]] = defaultdict(set)
        for usage in store.usages(ORG, Window()):
            found[usage.reply_id].add((usage.resource_type, usage.resource_id, usage.usage))
        lost = self.replies - found.keys()
        assert not lost, f"{len(lost)} replies are lost, {min(lost)} first"
        for reply_id, used in found.items():
            if not is_of_trace(reply_id):
                assert used == expected(reply_id), f"{reply_id} is there by half: {used}"
        counted = store.summary(ORG, ResourceType.INSTRUCTION, "ins", Window()).available_replies
        assert counted == sum(not is_of_trace(one) for one in found)
        self.figures["replies found whole"] += len(found)

    def _check_erased(self, store: Store) -> None:
        for session_id, fate in self.to_erase.items():
            conversation = store.conversation(ORG, session_id)
            assert fate is not Fate.RECORDED or conversation, f"{session_id} is lost"
            assert fate is not Fate.ERASED or not conversation, f"{session_id} is there again"
            if conversation:
                replies = sorted(one.reply_id for one in conversation.replies)
                assert replies == replies_of(session_id), f"{session_id} is there by half"

    def _start_import(self, number: int) -> "tuple[subprocess.Popen[bytes], list[str]]":
        """Import a file of replies; some of the time the file that was broken off before."""
        if _random.random() < 0.6:
            self._imports = number
        names = [f"i{self._imports}-{place}" for place in range(IMPORTED_REPLIES)]
        file = self.data.with_name(f"{self.data.name}-{self._imports}.ndjson")
        file.write_bytes(b"\n".join(msgspec.json.encode(reply(name)) for name in names))
        importing = commands.start_process(
            *("import", file, "--format", "replies", "--org", ORG, "--data", self.data),
            stdout=subprocess.DEVNULL,
        )
        return importing, names


class Worker:
    """What clients do with a running service until it is killed. ``failures`` are of any kind."""

    def __init__(self, life: Life, url: str, key: str) -> None:
        self.life = life
        self.failures: list[BaseException] = []
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}"}

    def work(self, work: "Work", name: str) -> None:
        """Do one kind of work again and again."""
        with httpx.Client(base_url=self._url, headers=self._headers, timeout=60) as client:
            try:
                for number in range(100_000):
                    work(self, client, f"{name}-{number}")
            except httpx.TransportError:
                pass  # it is killed
            except BaseException as error:  # noqa: BLE001 (told at the end of the round)
                self.failures.append(error)

    def record(self, client: httpx.Client, name: str) -> None:
        """Record some replies, as a list or line by line."""
        sent = [f"r{name}-{place}" for place in range(_random.choice((1, 3, 20)))]
        answer = client.post("/replies", json=[reply(one) for one in sent])
        assert answer.status_code == 200, answer.text
        assert answer.json()["accepted"] == len(sent)
        self.life.replies.update(sent)
        self.life.figures["replies acknowledged over HTTP"] += len(sent)

    def record_again(self, client: httpx.Client, _: str) -> None:
        """Record something that is known, which changes nothing."""
        known = next(iter(self.life.replies.copy()), None)
        if known:
            answer = client.post("/replies", json=reply(known)).json()
            assert (answer["accepted"], answer["duplicates"]) == (0, 1), answer
        else:
            client.get("/health/live")

    def set_facts(self, client: httpx.Client, name: str) -> None:
        """Set what is known of a conversation."""
        session_id, status = f"c{name}", f"status {name}"
        answer = client.put(
            f"/conversations/{session_id}", json={"status": status, "handed_off_at": AT}
        )
        assert answer.status_code == 204, answer.text
        self.life.facts[session_id] = status
        self.life.figures["facts acknowledged"] += 1

    def erase(self, client: httpx.Client, name: str) -> None:
        """Record a conversation, erase it, and send it again, which is refused."""
        session_id, fates = f"x{name}", self.life.to_erase
        sent = [reply(one) | {"session_id": session_id} for one in replies_of(session_id)]
        answer = client.post("/replies", json=sent)
        assert answer.json()["accepted"] == len(sent), answer.text
        fates[session_id] = Fate.RECORDED
        if _random.random() < 0.2:
            return
        fates[session_id] = Fate.ERASING
        answer = client.delete(f"/conversations/{session_id}")
        assert answer.status_code == 204, answer.text
        fates[session_id] = Fate.ERASED
        answer = client.post("/replies", json=sent)
        assert answer.status_code == 400, answer.text
        self.life.figures["erasures acknowledged"] += 1

    def trace(self, client: httpx.Client, _: str) -> None:
        """Send a trace in two halves, the root with the second; some lose the second."""
        trace_id, (root, *others) = f"{_random.getrandbits(128):032x}", [_span_id() for _ in "abc"]
        halves = [
            [span(trace_id, others[0], root)],
            [span(trace_id, others[1], root), span(trace_id, root, None)],
        ]
        for half in halves[: _random.choice((1, 2, 2))]:
            answer = client.post(
                "/v1/traces", json={"resourceSpans": [{"scopeSpans": [{"spans": half}]}]}
            )
            assert answer.status_code == 200, answer.text
            assert answer.json() == {}, answer.text
            self.life.spans.update(one["spanId"] for one in half)
            self.life.figures["spans acknowledged"] += len(half)

    def ask(self, client: httpx.Client, _: str) -> None:
        """What was acknowledged is in whatever is asked after."""
        before = len(self.life.replies)
        answer = client.get("/resource-usage/instruction/ins/usage-summary")
        assert answer.json()["available_replies"] >= before, answer.text
        page = client.get("/resource-usage/action", params={"limit": 5})
        assert page.status_code == 200, page.text
        self.life.figures["questions answered"] += 2


Work: TypeAlias = Callable[[Worker, httpx.Client, str], None]
WORKS: Sequence[Work] = (
    Worker.record,
    Worker.record_again,
    Worker.set_facts,
    Worker.erase,
    Worker.trace,
    Worker.ask,
)
"""What clients do in each round."""

_Used: TypeAlias = tuple[ResourceType, str, UsageKind]


def reply(name: str) -> dict[str, Any]:
    """A reply whose usages follow from its name."""
    return {
        "reply_id": name,
        "session_id": f"s{_number(name) % 50}",
        "replied_at": AT,
        "available": {"instruction": ["ins", f"ins{_number(name) % 9}"]},
        "applied": {"action": ["look"], "knowledge": [f"kb{_number(name) % 97}"]},
    }


def replies_of(session_id: str) -> list[str]:
    """The ids of the replies of a conversation that is to be erased."""
    return [f"{session_id}-{place}" for place in range(3)]


def expected(name: str) -> set[_Used]:
    """The usages that the reply of that name is recorded with."""
    knowledge = f"kb{_number(name) % 97}"
    return {
        (ResourceType.INSTRUCTION, "ins", UsageKind.AVAILABLE),
        (ResourceType.INSTRUCTION, f"ins{_number(name) % 9}", UsageKind.AVAILABLE),
        (ResourceType.KNOWLEDGE, knowledge, UsageKind.AVAILABLE),
        (ResourceType.KNOWLEDGE, knowledge, UsageKind.APPLIED),
        (ResourceType.ACTION, "look", UsageKind.APPLIED),
    }


def is_of_trace(reply_id: str) -> bool:
    """Whether a reply was made of a trace."""
    return reply_id[0] not in "rix"  # no hexadecimal digits, as a trace id has


def span(trace_id: str, span_id: str, parent_id: str | None) -> dict[str, Any]:
    """The execution of an action, or the agent that called it."""
    told = {"gen_ai.conversation.id": f"t{trace_id[:4]}", "gen_ai.operation.name": "invoke_agent"}
    if parent_id:
        told |= {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look"}
    return {
        "traceId": trace_id,
        "spanId": span_id,
        **({"parentSpanId": parent_id} if parent_id else {}),
        "name": told["gen_ai.operation.name"],
        "startTimeUnixNano": "1772359200000000000",
        "endTimeUnixNano": "1772359201000000000",
        "attributes": [{"key": key, "value": {"stringValue": text}} for key, text in told.items()],
    }


def _number(name: str) -> int:
    return sum(name.encode())


def _span_id() -> str:
    return f"{_random.getrandbits(64) or 1:016x}"


def _now() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)


if __name__ == "__main__":
    main()
