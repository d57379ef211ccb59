"""An organization whose every name, id and message is markup that harms where it is believed."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote, urlencode

from tests.exporting import AGENT, export, sent, settle
from tests.servers import Server

_MARKUP: Final = '\'"><img/class="planted"/onerror="alert(1)"src=x>'
"""It leaves an attribute, and has no white space, which names of attributes may not have."""

TYPES: Final = ("instruction", "knowledge", "action")
NOTED_SECONDS: Final = 20


def planted(place: str) -> str:
    """A text that leaves any attribute, text or script it is put into, and tells where it was."""
    return f"{place}{'' if place in _SHORT else _LEAVING}{_MARKUP}"


_LEAVING: Final = "</title></script></textarea>"
_SHORT: Final = ("status", "attribute", "example")
"""These may have 64 characters."""

PLACES: Final = (
    "org",
    "key",
    "status",
    "message",
    "session",
    "reply",
    "service",
    "attribute",
    "example",
    "refused",
    *(f"{part}-{kind}" for kind in TYPES for part in ("id", "name", "version", "nameless")),
)
"""All places that such a text is put into."""


class Planted:
    """The organization on a service, with a key that may everything."""

    def __init__(self, server: Server) -> None:
        self.org = planted("org")
        self.key = server.new_key(self.org)
        self.server = server
        self.client = server.client(key=self.key)
        self._fill()

    def pages(self) -> Sequence[str]:
        """Every page that shows anything of it."""
        about = [{"type": kind, "id": planted(f"id-{kind}")} for kind in TYPES]
        return [
            *(f"/dashboard?type={kind}" for kind in TYPES),
            f"/dashboard?{urlencode({'search': planted('id-instruction')})}",
            *(f"/dashboard/resource?{urlencode(one)}" for one in about),
            *(f"/dashboard/unused?type={kind}" for kind in TYPES),
            f"/dashboard/conversation?{urlencode({'id': planted('session')})}",
            "/dashboard/intake",
            "/dashboard/keys",
        ]

    def record(self, reply_id: str) -> None:
        """One more reply of its conversation, which has and applies all that is planted."""
        used = {kind: [planted(f"id-{kind}")] for kind in TYPES}
        reply = {
            "reply_id": reply_id,
            "session_id": planted("session"),
            "replied_at": (datetime.now(UTC) - timedelta(minutes=1)).isoformat(),
            "available": {kind: [*ids, planted(f"nameless-{kind}")] for kind, ids in used.items()},
            "applied": used,
            "last_message": planted("message"),
            "ticket_number": 7,
        }
        assert self.client.post("/replies", json=reply).json()["accepted"] == 1

    def _fill(self) -> None:
        self.record(planted("reply"))
        for kind in TYPES:
            entry = {
                "type": kind,
                "id": planted(f"id-{kind}"),
                "name": planted(f"name-{kind}"),
                "version": planted(f"version-{kind}"),
                "url": f"https://wiki.example/{planted('url')}",
            }
            assert self.client.put("/resources", json=entry).json()["accepted"] == 1
        facts = {"status": planted("status"), "handed_off_at": datetime.now(UTC).isoformat()}
        path = f"/conversations/{quote(planted('session'), safe='')}"
        assert self.client.put(path, json=facts).status_code == 204
        assert self.client.post("/keys", json={"name": planted("key")}).status_code == 201
        told = {**AGENT, planted("attribute"): planted("example")}
        export(self.client, sent("a", None, told), service=planted("service"))
        settle(self.client)
        refused = {"reply_id": planted("refused"), "session_id": "s", "replied_at": planted("time")}
        assert self.client.post("/replies", json=refused).status_code == 400
        ends_at = time.monotonic() + NOTED_SECONDS
        while not self.client.get("/intake/rejected").json()["items"]:
            assert time.monotonic() < ends_at, "what was rejected is not noted"
            time.sleep(0.05)
