"""What clients do with a service until it is killed, and what of it was acknowledged to them."""

from collections import Counter
from collections.abc import Callable, Sequence
from enum import Enum
from typing import TypeAlias

import httpx
from msgspec import Struct, field

from tests.storm_replies import AT, SentTrace, chance, replies_of, reply


class Fate(Enum):
    """What becomes of a conversation that is to be erased, as far as it was acknowledged."""

    RECORDED = "it is there with its replies"
    ERASING = "it is there with its replies, or gone"
    ERASED = "it is gone"


class Acknowledged(Struct):
    """What was acknowledged on one data folder; ``invocations`` are counted by trace."""

    replies: set[str] = field(default_factory=set)
    facts: dict[str, str] = field(default_factory=dict)
    spans: set[str] = field(default_factory=set)
    invocations: Counter[str] = field(default_factory=Counter)
    fates: dict[str, Fate] = field(default_factory=dict)

    def snapshot(self) -> "Acknowledged":
        """What holds of this moment whatever is done after it."""
        ended = {Fate.ERASED: Fate.ERASED}
        return Acknowledged(
            self.replies.copy(),
            self.facts.copy(),
            self.spans.copy(),
            self.invocations.copy(),
            {name: ended.get(fate, Fate.ERASING) for name, fate in self.fates.copy().items()},
        )


class Worker:
    """Somebody who works with a running service until it is killed.

    ``failures`` are of any kind; ``figures`` counts what was done.
    """

    def __init__(self, url: str, key: str, known: Acknowledged, figures: "Counter[str]") -> None:
        self.failures: list[BaseException] = []
        self._known = known
        self._figures = figures
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
        """Record some replies at once."""
        sent = [f"r{name}-{place}" for place in range(chance.choice((1, 3, 20)))]
        answer = client.post("/replies", json=[reply(one) for one in sent])
        assert answer.status_code == 200, answer.text
        assert answer.json()["accepted"] == len(sent)
        self._known.replies.update(sent)
        self._figures["replies acknowledged over HTTP"] += len(sent)

    def record_again(self, client: httpx.Client, _: str) -> None:
        """Record something that is known, which changes nothing."""
        known = next(iter(self._known.replies.copy()), None)
        if known:
            answer = client.post("/replies", json=reply(known)).json()
            assert (answer["accepted"], answer["duplicates"]) == (0, 1), answer
        else:
            client.get("/health/live")

    def set_facts(self, client: httpx.Client, name: str) -> None:
        """Set what is known of a conversation."""
        session_id, status = f"c{name}", f"status {name}"
        facts = {"status": status, "handed_off_at": AT.isoformat()}
        answer = client.put(f"/conversations/{session_id}", json=facts)
        assert answer.status_code == 204, answer.text
        self._known.facts[session_id] = status
        self._figures["facts acknowledged"] += 1

    def erase(self, client: httpx.Client, name: str) -> None:
        """Record a conversation, erase it, and send it again, which is refused."""
        session_id, fates = f"x{name}", self._known.fates
        sent = [reply(one) | {"session_id": session_id} for one in replies_of(session_id)]
        answer = client.post("/replies", json=sent)
        assert answer.json()["accepted"] == len(sent), answer.text
        fates[session_id] = Fate.RECORDED
        if chance.random() < 0.2:
            return
        fates[session_id] = Fate.ERASING
        answer = client.delete(f"/conversations/{session_id}")
        assert answer.status_code == 204, answer.text
        fates[session_id] = Fate.ERASED
        answer = client.post("/replies", json=sent)
        assert answer.status_code == 400, answer.text
        self._figures["erasures acknowledged"] += 1

    def trace(self, client: httpx.Client, _: str) -> None:
        """Send a trace in two halves; some lose the second."""
        trace = SentTrace()
        for half in trace.halves[: chance.choice((1, 2, 2))]:
            answer = client.post(
                "/v1/traces", json={"resourceSpans": [{"scopeSpans": [{"spans": half}]}]}
            )
            assert answer.status_code == 200, answer.text
            assert answer.json() == {}, answer.text
            self._known.spans.update(one["spanId"] for one in half)
            self._known.invocations[trace.trace_id] += 1
            self._figures["spans acknowledged"] += len(half)

    def ask(self, client: httpx.Client, _: str) -> None:
        """What was acknowledged is in whatever is asked after."""
        before = len(self._known.replies)
        answer = client.get("/resource-usage/instruction/ins/usage-summary")
        assert answer.json()["available_replies"] >= before, answer.text
        page = client.get("/resource-usage/action", params={"limit": 5})
        assert page.status_code == 200, page.text
        self._figures["questions answered"] += 2


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
