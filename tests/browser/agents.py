"""What there is to look at: a simulated agent's days, real conversations, and an empty start."""

from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from pathlib import Path

import pytest

from applyrate.demo.agent import ESCALATION
from applyrate.demo.catalogue import catalogue
from applyrate.demo.simulation import simulate
from applyrate.usage import Recording, ResourceType, Window
from tests.commands import run_process
from tests.servers import Server

DAYS = 45
SIMULATED = "furniture shop"
REAL = "airline"
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
    def empty_key(self) -> str:
        """One of an organization that recorded nothing."""
        return self.server.new_key("new shop")


def filled(server: Server, days: int = DAYS) -> Agents:
    """Fill a service with the simulated agent's days up to now."""
    now = datetime.now(UTC)
    for day in simulate(now, days):
        server.store.record([Recording(SIMULATED, day.replies)])
        server.store.set_conversations(SIMULATED, day.facts)
    server.store.set_catalogue(SIMULATED, list(catalogue(now)))
    return Agents(server, now)
