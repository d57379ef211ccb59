"""No split, order or repetition of spans changes a count, whenever replies are derived."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from applyrate.intake.conventions import observe
from applyrate.intake.group_commit import GroupCommit
from applyrate.intake.otlp import decode_json
from applyrate.intake.spans import ObservedSpan, ToolCall
from applyrate.intake.traces import Traces
from applyrate.settings import Settings
from applyrate.store import Store, open_store
from applyrate.usage import ResourceType, Window
from tests.observed import agent, noise, observed
from tests.otlp_fixtures import captured_json, fixture_names

Counts: TypeAlias = dict[tuple[str, str], tuple[int, int, int, int]]

EXAMPLES = 15


class Intake:
    """Traces on a real store. They have no quiet time: what is there is derived whenever asked."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(data=str(folder), trace_quiet_seconds=0)
        self.store: Store = open_store(folder)
        self.runner = asyncio.Runner()
        self.commits = GroupCommit(self.store)
        self.traces = Traces(self.settings, self.store, self.commits)
        self.orgs = 0

    def count(self, requests: Sequence[tuple[Sequence[ObservedSpan], bool]]) -> Counts:
        """The counts of a new organization that sends these spans.

        After some of the requests the replies are derived, and always after the last.
        """
        self.orgs += 1
        org = f"org-{self.orgs}"

        async def send() -> None:
            for spans, derives in requests:
                await self.traces.accept(org, spans)
                if derives:
                    await self.derive()
            await self.derive()

        self.runner.run(send())
        return {
            (kind, row.resource_id): (
                *(row.applied_sessions, row.applied_replies),
                *(row.available_sessions, row.available_replies),
            )
            for kind in ResourceType
            for row in self.store.resources(org, kind, Window(), limit=250).items
        }

    async def derive(self) -> None:
        while await self.traces.derive_due():
            pass

    def close(self) -> None:
        async def close() -> None:
            await self.traces.close()
            await self.commits.close()

        with self.runner:
            self.runner.run(close())
        self.store.close()


@pytest.fixture(scope="module")
def intake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Intake]:
    intake = Intake(tmp_path_factory.mktemp("orders") / "data")
    yield intake
    intake.close()


def deliveries(
    spans: Sequence[ObservedSpan],
) -> st.SearchStrategy[list[tuple[list[ObservedSpan], bool]]]:
    """Requests that hold each span at least once, some of them followed by a derivation."""
    return (
        st.lists(st.sampled_from(spans), max_size=len(spans))
        .flatmap(lambda repeated: st.permutations([*spans, *repeated]))
        .flatmap(
            lambda sent: st.lists(
                st.tuples(st.integers(1, len(sent)), st.booleans()), max_size=len(sent)
            ).map(lambda cuts: split(sent, cuts))
        )
    )


def split(
    spans: Sequence[ObservedSpan], cuts: Sequence[tuple[int, bool]]
) -> list[tuple[list[ObservedSpan], bool]]:
    requests, start = [], 0
    for length, derives in cuts:
        requests.append((list(spans[start : start + length]), derives))
        start += length
    return [*requests, (list(spans[start:]), True)]


@pytest.mark.parametrize("place", range(6))
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_no_delivery_of_a_capture_changes_its_counts(
    intake: Intake, place: int, data: st.DataObject
) -> None:
    spans = captured_spans(fixture_names()[place], intake.traces)
    expected = intake.count([(spans, True)])
    assert expected
    assert intake.count(data.draw(deliveries(spans))) == expected


def captured_spans(name: str, traces: Traces) -> list[ObservedSpan]:
    """A capture's spans as they are kept, in a conversation even where they name none."""
    spans = [observe(span, traces.rules("")) for span in decode_json(captured_json(name)).spans]
    if any(span.evidence.conversation for span in spans):
        return spans
    named = {"session.id": "conv"}
    return [replace(span, evidence=replace(span.evidence, conversation=named)) for span in spans]


IDS = st.sampled_from(["a", "b", "c"])
SETS = st.lists(IDS, max_size=2).map(tuple)


def calls(number: int) -> st.SearchStrategy[ToolCall]:
    """Calls of any action; one call id belongs to one action."""
    return IDS.map(lambda name: ToolCall(name, f"{name}{number}"))


@st.composite
def traces(draw: st.DrawFn) -> list[ObservedSpan]:
    """A reply's spans: an agent, inside of something or not, and work in any shape below it.

    Rerankers are left out, since they supersede what was recorded before they came.
    """
    spans = [agent("agent", draw(st.sampled_from([None, "http"])), at=(0, 99))]
    if spans[0].parent_id:
        spans.append(noise("http", at=(0, 100), conversation={"session.id": "conv"}))
    for number in range(draw(st.integers(0, 6))):
        evidence: dict[str, Any] = draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "executed": calls(number) | st.builds(ToolCall, IDS),
                    "requested": st.lists(calls(number - 1), max_size=3),
                    "retrieved": SETS,
                    "cited": SETS,
                    "available_knowledge": SETS,
                    "actions": SETS,
                    "instructions": st.dictionaries(IDS, st.just("text"), max_size=2),
                },
            )
        )
        # A span is a child of the agent, so that none comes later than those above and below it.
        spans.append(
            observed(
                f"s{number}",
                "agent",
                at=(number, number + 1),
                conversation={"session.id": "conv"},
                **evidence,
            )
        )
    return spans


@settings(
    max_examples=4 * EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(spans=traces(), data=st.data())
def test_no_delivery_of_any_trace_changes_its_counts(
    intake: Intake, spans: list[ObservedSpan], data: st.DataObject
) -> None:
    expected = intake.count([(spans, True)])
    assert intake.count(data.draw(deliveries(spans))) == expected


def test_what_was_counted_is_one_consistent_whole(intake: Intake) -> None:
    assert list(intake.store.check()) == []


def test_a_delivery_holds_every_span() -> None:
    spans = [agent("a"), observed("b", "a")]
    sent = [span for request, _ in split(spans * 2, [(3, True)]) for span in request]
    assert Counter(span.name for span in sent) == {"a": 2, "b": 2}
