"""What there is to look at: a simulated agent's days, real conversations, and an empty start."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest

from applyrate.demo.agent import ESCALATION
from applyrate.demo.catalogue import catalogue
from applyrate.demo.simulation import simulate
from applyrate.usage import Recording, ResourceType, Window
from tests.commands import run_process
from tests.exporting import AGENT, executed, export, sent, settle
from tests.servers import Server

DAYS = 45
SIMULATED = "furniture shop"
REAL = "airline"
TROUBLED = "returns desk"
NOTED_SECONDS = 20
REAL_TRANSCRIPTS = Path(__file__).parents[3] / "shared" / "real" / "airline-transcripts.jsonl"


class Agents:
    """A service with organizations in it; ``now`` is when the simulated agent's last reply came."""

    def __init__(self, server: Server, now: datetime) -> None:
        self.server = server
        self.now = now

    @property
    def month_ago(self) -> datetime:
        """When the window begins that pages show first: 30 days of UTC, today the last of them."""
        today = datetime.combine(datetime.now(UTC), time(), UTC)
        return today - timedelta(days=29)

    @cached_property
    def key(self) -> str:
        """A full-access key of the simulated agent's organization."""
        return self.server.new_key(SIMULATED)

    @cached_property
    def session_id(self) -> str:
        """A conversation of the simulated agent with several replies that ended in a handoff."""
        rows = self.server.store.conversations(
            SIMULATED, ResourceType.ACTION, ESCALATION.id, Window(), limit=250
        )
        for row in rows.items:
            known = self.server.store.conversation(SIMULATED, row.session_id)
            if known and len(known.replies) >= 4 and known.csat:
                return known.session_id
        raise LookupError("no conversation of several replies ended in a handoff")

    @cached_property
    def real_key(self) -> str:
        """One of an organization with real conversations, where they lie beside the checkout."""
        if not REAL_TRANSCRIPTS.exists():
            pytest.skip(f"the real transcripts are missing: no {REAL_TRANSCRIPTS}")
        into = ("--org", REAL, "--data", self.server.data)
        run_process("import", REAL_TRANSCRIPTS, "--format", "transcripts", *into).check_returncode()
        return self.server.new_key(REAL)

    @cached_property
    def troubled_key(self) -> str:
        """One of an organization whose senders make mistakes, seen once all of it is noted."""
        client = self.server.client(TROUBLED)
        send_troubles(client)
        deadline = monotonic() + NOTED_SECONDS
        while len(client.get("/intake/rejected").json()["reasons"]) < len(TROUBLES):
            assert monotonic() < deadline, "what was rejected is not noted"
            sleep(0.05)
        settle(client)
        return self.server.new_key(TROUBLED)

    @cached_property
    def empty_key(self) -> str:
        """One of an organization that recorded nothing."""
        return self.server.new_key("new shop")


def send_troubles(client: httpx.Client) -> None:
    """Send replies and spans of which some are taken, and some break a rule."""
    replies = [_reply(number) for number in range(120)]
    wrong = [{**_reply(number), **trouble} for trouble in TROUBLES for number in range(200, 212)]
    client.post("/replies", json=replies + wrong).raise_for_status()
    for number in range(1, 40):
        chat = {**AGENT, "app.chat_id": f"c_{number % 9}", "app.region": "eu"}
        span = sent("a", None, chat, trace=number)
        service = ("returns-desk", "voice", "shop-assistant")[number % 3]
        export(client, span, executed("t", "a", "lookup_order", trace=number), service=service)


def _reply(number: int) -> dict[str, Any]:
    at = datetime.now(UTC) - timedelta(minutes=number)
    return {"reply_id": f"r_{number}", "session_id": f"c_{number}", "replied_at": at.isoformat()}


TROUBLES: Sequence[dict[str, Any]] = (
    {"replied_at": "yesterday at noon"},
    {"session_id": 4711},
    {"applied": {"instruction": ["ins_tone", None]}},
    {"avialable": {"knowledge": ["kb_7"]}},
)


def filled(server: Server, days: int = DAYS) -> Agents:
    """Fill a service with the simulated agent's days up to now."""
    now = datetime.now(UTC)
    for day in simulate(now, days):
        server.store.record([Recording(SIMULATED, day.replies)])
        server.store.set_conversations(SIMULATED, day.facts)
    server.store.set_catalogue(SIMULATED, list(catalogue(now)))
    return Agents(server, now)
