"""Each operation of the API, with requests that it answers to whoever may ask, and to nobody else.

An operation that is new needs its rows here: what asks it, with which scopes, and what it answers.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

Scopes = frozenset[str]


class Ask(NamedTuple):
    """A request that is answered with ``status`` to a key of its organization that may ask.

    ``opens``: the sets of scopes of which a key must hold one wholly; None lets anybody ask.
    ``elsewhere``: the status for a key of an organization that has nothing.
    """

    operation: str
    target: str
    opens: tuple[Scopes, ...] | None
    body: Any = None
    status: int = 200
    elsewhere: int | None = None

    @property
    def method(self) -> str:
        return self.operation.partition(" ")[0]

    def lets_in(self, held: Scopes) -> bool:
        """Whether scopes are enough."""
        return self.opens is None or any(scopes <= held for scopes in self.opens)

    def expected(self, held: Scopes | None) -> int:
        """The status for a key with these scopes, None for whoever proved nothing."""
        if self.opens is None:
            return self.status
        if held is None:
            return 401
        return self.status if self.lets_in(held) else 403


def needs(*scopes: str) -> tuple[Scopes, ...]:
    """All of these."""
    return (frozenset(scopes),)


OF_TYPE: Final = {
    "action": needs("actions:read", "chat-sessions:read"),
    "instruction": needs("training:read", "chat-sessions:read"),
    "knowledge": needs("training:read", "chat-sessions:read"),
}
WRITES: Final = {
    "action": needs("actions:write"),
    "instruction": needs("training:write"),
    "knowledge": needs("training:write"),
}
ANY_TYPE: Final = OF_TYPE["action"] + OF_TYPE["knowledge"]

REPLY: Final = {
    "reply_id": "r_1",
    "session_id": "s_1",
    "replied_at": "2026-03-01T10:00:00Z",
    "available": {"instruction": ["res"], "knowledge": ["res"], "action": ["res"]},
    "applied": {"instruction": ["res"], "knowledge": ["res"], "action": ["res"]},
}
WHILE: Final = "from=2026-03-01&to=2026-03-02"
ONE: Final = "/resource-usage/{resource_type}/{resource_id}"


def asks(key_id: str) -> list[Ask]:
    """Them all. ``key_id`` is a key of the organization that may be revoked."""
    return [
        *_of_types(),
        Ask("GET /conversations/{session_id}/usage", "/conversations/s_1/usage",
            needs("chat-sessions:read"), elsewhere=404),
        Ask("GET /export/usages", "/export/usages",
            needs("actions:read", "training:read", "chat-sessions:read")),
        Ask("GET /stream", "/stream", ANY_TYPE),
        Ask("GET /intake/unattributed", "/intake/unattributed", needs("chat-sessions:read")),
        Ask("GET /intake/rejected", "/intake/rejected", needs("chat-sessions:read")),
        Ask("POST /replies", "/replies", needs("usage:write"), REPLY),
        Ask("POST /v1/traces", "/v1/traces", needs("usage:write"), {}),
        Ask("PUT /conversations/{session_id}", "/conversations/s_1",
            needs("chat-sessions:write"), {"csat": 5}, 204),
        Ask("DELETE /conversations/{session_id}", "/conversations/none",
            needs("chat-sessions:write"), status=204),
        Ask("GET /audit", "/audit", needs("org:read")),
        Ask("GET /keys", "/keys", needs("org:read")),
        Ask("POST /keys", "/keys", needs("org:write"),
            {"name": "made", "scopes": ["org:write"]}, 201),
        Ask("DELETE /keys/{key_id}", f"/keys/{key_id}", needs("org:write"), elsewhere=404),
        Ask("GET /metrics", "/metrics", needs("metrics:read")),
        Ask("GET /health/live", "/health/live", None),
        Ask("GET /health/ready", "/health/ready", None),
        Ask("GET /openapi.json", "/openapi.json", None),
        Ask("GET /docs", "/docs", None),
        Ask("GET /", "/", None, status=302),
    ]  # fmt: skip


def _of_types() -> Iterable[Ask]:
    for kind, read in OF_TYPE.items():
        one = f"/resource-usage/{kind}/res"
        yield Ask("GET /resource-usage/{resource_type}", f"/resource-usage/{kind}", read)
        for rest in ("usage-summary", "conversations", "timeline", "outcomes", "stream"):
            yield Ask(f"GET {ONE}/{rest}", f"{one}/{rest}", read)
        yield Ask(f"GET {ONE}/comparison", f"{one}/comparison?{WHILE}", read)
        yield Ask("GET /insights/unused", f"/insights/unused?type={kind}", read)
        entry = {"type": kind, "id": "res"}
        yield Ask("PUT /resources", "/resources", WRITES[kind], entry)
