"""What the API answers about an organization: its counts, as figures and as a picture."""

import time
from dataclasses import dataclass
from typing import Any

import httpx

from applyrate.usage import ResourceType

SETTLE_SECONDS = 20
NAME_WIDTH = 56


@dataclass(frozen=True)
class Counts:
    """``replies`` by type and id: those that had the resource available, and its applications."""

    replies: dict[str, dict[str, tuple[int, int]]]
    names: dict[str, str]
    with_signal: frozenset[str]
    conversations: frozenset[str]


def read_counts(client: httpx.Client) -> Counts:
    """What the API answers now."""
    pages = {each.value: _get(client, f"/resource-usage/{each}") for each in ResourceType}
    rows = {name: page["items"] for name, page in pages.items()}
    return Counts(
        replies={
            name: {
                row["resource_id"]: (row["available_replies"], row["applied_replies"])
                for row in found
            }
            for name, found in rows.items()
        },
        names={
            row["resource_id"]: row["name"]
            for found in rows.values()
            for row in found
            if "name" in row
        },
        with_signal=frozenset(name for name, page in pages.items() if page["applied_signal"]),
        conversations=frozenset(
            conversation["session_id"]
            for name, found in rows.items()
            for row in found
            for conversation in _get(
                client,
                f"/resource-usage/{name}/{row['resource_id']}/conversations",
                usage="available" if row["available_replies"] else "applied",
            )["items"]
        ),
    )


def await_counts(client: httpx.Client) -> Counts:
    """The counts once no trace waits any more for what may belong to it."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while waiting := _get(client, "/intake/unattributed")["waiting_count"]:
        assert time.monotonic() < deadline, f"{waiting} traces still wait"
        time.sleep(0.05)
    return read_counts(client)


def draw_counts(counts: Counts) -> str:
    """The counts as a table."""
    lines = [f"conversation {each}" for each in sorted(counts.conversations)]
    lines += ["", f"{'replies':<28}{'available':>10}{'applied':>10}"]
    for name, rows in counts.replies.items():
        has_signal = name in counts.with_signal
        lines.append(name if has_signal else f"{name:<43}no signal")
        for resource_id, (available, applied) in sorted(rows.items()):
            shown = str(applied) if has_signal else ""
            lines.append(f"  {resource_id:<26}{available:>10}{shown:>10}".rstrip())
            if told := counts.names.get(resource_id):
                lines.append(f"    {told[:NAME_WIDTH]}{'…' if told[NAME_WIDTH:] else ''}")
    return "\n".join(lines) + "\n"


def _get(client: httpx.Client, path: str, **query: str) -> Any:
    return client.get(path, params=query).raise_for_status().json()
