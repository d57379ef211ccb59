"""The requests of real exporters give the counts of their ground truth, however they arrive.

They lie beside the checkout, not in it.
"""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import httpx
import pytest

from tests.commands import answer
from tests.otlp_fixtures import FOLDER, captured_json, fixture_names
from tests.servers import Server, running_server

Counts: TypeAlias = dict[str, dict[str, tuple[int, int]]]
"""By type and resource: how often it was applied, and in how many replies it was available."""

CONVERSATION = "conv_fixture_0001"
INSTRUCTION = "sha256-92e4d52490cf"

ONE_TURN: Counts = {
    "action": {"search_knowledge": (1, 1), "lookup_order": (1, 1), "escalate_to_human": (0, 1)},
    "instruction": {INSTRUCTION: (0, 1)},
    "knowledge": {"kb-refund-policy": (1, 1), "kb-shipping-times": (0, 1), "kb-warranty": (0, 1)},
}
TWO_TURNS: Counts = {
    kind: {name: (2 * applied, 2 * available) for name, (applied, available) in counts.items()}
    for kind, counts in ONE_TURN.items()
}
TRUTH: dict[str, Counts] = {
    "pydantic_ai_v5": TWO_TURNS,
    "pydantic_ai_nocontent": {
        "action": TWO_TURNS["action"],
        "instruction": {},
        "knowledge": dict.fromkeys(TWO_TURNS["knowledge"], (0, 2)),
    },
    "langchain_openinference": ONE_TURN,
    "langchain_traceloop": ONE_TURN,
    "llama_index_openinference": {
        "action": {"lookup_order": (1, 0)},
        "instruction": {},
        "knowledge": dict.fromkeys(ONE_TURN["knowledge"], (0, 1)),
    },
    "vercel_ai_sdk_semconv": ONE_TURN,
}
WITHOUT_CONVERSATION = "vercel_ai_sdk_semconv"


@pytest.fixture(autouse=True)
def captures() -> list[str]:
    """The names of the captures, without which nothing here is tested."""
    return [name.removesuffix(".0") for name in fixture_names()]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that waits a little for the rest of a trace."""
    with running_server(
        tmp_path_factory.mktemp("traces") / "data", trace_quiet_seconds=0.3
    ) as server:
        yield server


Request: TypeAlias = tuple[bytes, dict[str, str]]


def as_captured(name: str) -> list[Request]:
    """The requests as they came over the wire: gzip, protobuf."""
    headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
    return [((FOLDER / f"{name}.0.otlp.pb.gz").read_bytes(), headers)]


def as_json(request: dict[str, Any]) -> Request:
    return json.dumps(request).encode(), {"Content-Type": "application/json"}


def span_by_span(name: str) -> list[Request]:
    """A request for each span, in the order of the capture."""
    sent = json.loads(captured_json(f"{name}.0"))
    return [
        as_json({"resourceSpans": [{**emitter, "scopeSpans": [{**scope, "spans": [span]}]}]})
        for emitter in sent["resourceSpans"]
        for scope in emitter["scopeSpans"]
        for span in scope["spans"]
    ]


WAYS: dict[str, Callable[[str], list[Request]]] = {
    "alone": as_captured,
    "as JSON": lambda name: [as_json(json.loads(captured_json(f"{name}.0")))],
    "twice": lambda name: as_captured(name) * 2,
    "span by span": span_by_span,
    "in reverse order": lambda name: span_by_span(name)[::-1],
}


def send(client: httpx.Client, requests: list[Request]) -> None:
    for body, headers in requests:
        client.post("/v1/traces", content=body, headers=headers).raise_for_status()
    deadline = time.monotonic() + 20
    while client.get("/intake/unattributed").json()["waiting_count"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def counts_of(client: httpx.Client) -> Counts:
    return {
        kind: {
            row["resource_id"]: (row["applied_replies"], row["available_replies"])
            for row in client.get(f"/resource-usage/{kind}").raise_for_status().json()["items"]
        }
        for kind in ("action", "instruction", "knowledge")
    }


def conversations_of(client: httpx.Client) -> set[str]:
    path = "/resource-usage/action/lookup_order/conversations"
    return {row["session_id"] for row in client.get(path).json()["items"]}


def test_every_capture_has_its_truth_here(captures: list[str]) -> None:
    assert captures == sorted(TRUTH)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", TRUTH)
def test_a_capture_gives_its_ground_truth(server: Server, name: str, way: str) -> None:
    org = server.new_org()
    client = server.client(org)
    send(client, WAYS[way](name))
    if name == WITHOUT_CONVERSATION:
        assert counts_of(client) == {"action": {}, "instruction": {}, "knowledge": {}}
        (row,) = client.get("/intake/unattributed").json()["items"]
        assert (row["trace_count"], row["missing"]) == (1, ["conversation"])
        # Nothing in it names a conversation: any attribute will do to see it counted.
        where = ("--org", org, "--data", server.data)
        brought = answer("attribute", "--from-attribute", "service.name", *where)
        assert brought == {"reply_count": 1, "conversation_count": 1, "remaining_trace_count": 0}
    else:
        assert conversations_of(client) == {CONVERSATION}
    assert counts_of(client) == TRUTH[name]


@pytest.mark.parametrize("name", TRUTH)
def test_a_source_without_a_signal_for_a_type_says_so(server: Server, name: str) -> None:
    client = server.client()
    send(client, as_captured(name))
    for kind, counts in TRUTH[name].items():
        is_counted = name != WITHOUT_CONVERSATION
        reported = any(applied for applied, _ in counts.values())
        answered = client.get(f"/resource-usage/{kind}").json()["applied_signal"]
        assert answered is (is_counted and (reported or kind == "action")), kind


def test_the_folder_checks_clean(server: Server) -> None:
    assert answer("check", "--data", server.data)["faults"] == []
