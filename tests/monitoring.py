"""What tests read of a service's metrics, its log, and the files for those who watch it."""

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parent.parent
MONITORING = ROOT / "deploy" / "monitoring"
PATIENCE_SECONDS = 20


def metrics_of(client: httpx.Client) -> dict[str, float]:
    """Every sample of a service by its name and labels, as the text has it."""
    return {
        sample.name
        + "".join(f"|{name}={sample.labels[name]}" for name in sorted(sample.labels)): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }


def families_of(client: httpx.Client) -> set[str]:
    """The names of a service's metrics as the documentation has them."""
    return set(re.findall(r"^# TYPE (\S+)", client.get("/metrics").text, re.MULTILINE))


def samples_of(client: httpx.Client) -> set[str]:
    """The names that a query can ask for."""
    return {name.partition("|")[0] for name in metrics_of(client)}


def agent_trace(trace_id: str, **attributes: str) -> dict[str, Any]:
    """A trace of one span, of an agent that calls an action, as OTLP in JSON."""
    told = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look", **attributes}
    span = {
        "traceId": trace_id,
        "spanId": "eee19b7ec3c1b174",
        "name": "execute_tool look",
        "startTimeUnixNano": "1772359200000000000",
        "endTimeUnixNano": "1772359200250000000",
        "attributes": [
            {"key": name.replace("__", "."), "value": {"stringValue": value}}
            for name, value in told.items()
        ],
    }
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def json_lines(text: str) -> list[dict[str, Any]]:
    """The lines of a log in JSON."""
    return [json.loads(line) for line in text.splitlines()]


def told(lines: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    """The lines of an event."""
    return [line for line in lines if line["event"] == event]


def table_rows(page: str, heading: str) -> Iterator[list[str]]:
    """The rows of the first table below a heading of a page, without its head."""
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    for row in rows[2:]:
        yield [cell.strip() for cell in row.strip("|").split(" | ")]


def wait_until(holds: Callable[[], object]) -> None:
    """Wait for something that will hold soon; it fails where it never does."""
    ends_at = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < ends_at, "it does not come to hold"
        time.sleep(0.05)


def promtool() -> str:
    """Where promtool is; the test is skipped where it is not, and fails where CI installs it."""
    found = shutil.which("promtool")
    if found is None:
        if os.environ.get("CI") == "true" and "promtool" in (ROOT / ".ci" / "run").read_text():
            pytest.fail("promtool is not there, although CI installs it")
        pytest.skip("promtool is not there (Debian's package prometheus has it)")
    return found
