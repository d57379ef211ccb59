"""Every page of the dashboard, each with something on it."""

from collections.abc import Iterator
from typing import NamedTuple

from tests.browser.agents import Agents


class Look(NamedTuple):
    """A page as somebody sees it: by name, where it is, and whose key they have, None for none."""

    name: str
    path: str
    key: str | None

    def __str__(self) -> str:
        return self.name


NAMES = (
    "sign-in",
    "overview",
    "overview-knowledge",
    "overview-actions",
    "overview-empty",
    "overview-real",
    "resource",
    "resource-action",
    "resource-unknown",
    "unused",
    "unused-knowledge",
    "unused-empty",
    "conversation",
    "intake",
    "intake-empty",
    "intake-troubled",
    "keys",
    "not-found",
)


def look_at(agents: Agents, name: str) -> Look:
    """One of the NAMES."""
    simulated = agents.key
    paths: dict[str, tuple[str, str | None]] = {
        "sign-in": ("/dashboard/sign-in", None),
        "overview": ("/dashboard", simulated),
        "overview-knowledge": ("/dashboard?type=knowledge", simulated),
        "overview-actions": ("/dashboard?type=action", simulated),
        "overview-empty": ("/dashboard", agents.empty_key),
        "resource": ("/dashboard/resource?id=refund-policy", simulated),
        "resource-action": ("/dashboard/resource?type=action&id=open_warranty_case", simulated),
        "resource-unknown": ("/dashboard/resource?id=nobody-knows", simulated),
        "unused": ("/dashboard/unused", simulated),
        "unused-knowledge": ("/dashboard/unused?type=knowledge", simulated),
        "unused-empty": ("/dashboard/unused", agents.empty_key),
        "conversation": (f"/dashboard/conversation?id={agents.session_id}", simulated),
        "intake": ("/dashboard/intake", simulated),
        "intake-empty": ("/dashboard/intake", agents.empty_key),
        "intake-troubled": ("/dashboard/intake", agents.troubled_key),
        "keys": ("/dashboard/keys", simulated),
        "not-found": ("/dashboard/nothing", simulated),
    }
    if name == "overview-real":
        return Look(name, "/dashboard?type=action&preset=all", agents.real_key)
    return Look(name, *paths[name])


def every_look(agents: Agents) -> Iterator[Look]:
    """All of them, one after another."""
    return (look_at(agents, name) for name in NAMES)
