"""The benchmark's peers answer what the store answers, so that their times can be compared."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from bench.generator import CATALOGUES, ORG, Workload
from bench.organizations import Data
from bench.peers import Peer
from bench.peers.every import PEERS, POSTGRES
from bench.peers.postgres.plain import open_plain
from bench.prototype.answering import Prototype
from bench.prototype.demands import PROTOTYPE, Engines, demands
from bench.questions import COLD_SHARE, OURS, WINDOWS, questions, windows

from applyrate.store import Store, open_store
from applyrate.usage import ConversationFacts, Recording, Reply, ResourceType, UsageKind, Window

REPLIES = 1_200
SMALL_REPLIES = 60
LOADED = 1_000

PLAIN = POSTGRES._replace(name="PostgreSQL, plain", folder="plain", open=open_plain)


class World(NamedTuple):
    data: Data
    store: Store
    folder: Path


def draw(replies: int, seed: int, org: str) -> Workload:
    few = [catalogue._replace(contexts=catalogue.contexts // 64) for catalogue in CATALOGUES]
    return Workload(replies, seed=seed, org=org, catalogues=few)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """The store with everything, the last replies of it recorded twice."""
    data = Data(draw(REPLIES, 1, ORG), [draw(SMALL_REPLIES, 2, "small")], LOADED)
    with TemporaryDirectory() as folder, closing(open_store(Path(folder))) as store:
        for org, replies in everything(data):
            store.record([Recording(org, replies)])
        for org, handed_off in data.handed_off():
            facts = {
                session_id: ConversationFacts(handed_off_at=at)
                for session_id, at in handed_off.items()
            }
            store.set_conversations(org, facts)
        yield World(data, store, Path(folder))


@pytest.fixture(scope="module", params=(*PEERS, PLAIN), ids=lambda kind: kind.folder)
def peer(request: pytest.FixtureRequest, world: World) -> Iterator[Peer]:
    """A peer that was loaded, then recorded into."""
    if missing := request.param.missing():
        pytest.skip(f"{request.param.name} is not compared: {missing}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        folder.chmod(0o755)  # PostgreSQL runs as somebody else
        peer = stack.enter_context(closing(request.param.open(folder)))
        peer.load(world.data.workload, LOADED)
        for org, replies in list(everything(world.data))[1:]:
            peer.record(org, replies)
        for org, handed_off in world.data.handed_off():
            peer.hand_off(org, handed_off)
        assert peer.settle() > 0
        yield peer


def everything(data: Data) -> Iterator[tuple[str, list[Reply]]]:
    """Loaded replies, then batches of new ones, some of them known before."""
    yield ORG, data.workload.replies(0, LOADED)
    yield from data.small_batches(50)
    yield ORG, data.workload.replies(LOADED - 20, REPLIES - 1)
    yield ORG, data.workload.replies(REPLIES - 30, REPLIES)
    yield ORG, data.workload.replies(REPLIES - 1, REPLIES)


def test_a_peer_answers_every_question_as_the_store_does(world: World, peer: Peer) -> None:
    asked = 0
    for question in questions(world.data.workload, world.store):
        for asking in question.askings[:3]:
            expected = question.ask(world.store, asking)
            assert question.ask(peer, asking) == expected, (question.name, asking)
            asked += 1
    assert asked > 60


def test_the_prototype_answers_what_it_is_asked_as_the_store_does(
    world: World, tmp_path: Path
) -> None:
    prototype = Prototype(world.folder / "applyrate.db", tmp_path / "days.db")
    asked = []
    with closing(prototype):
        for demand in demands(world.data.workload, Engines(world.store, prototype)):
            if PROTOTYPE in demand.ask:
                for window in demand.windows[:30]:
                    expected = demand.ask[OURS](window)
                    assert demand.ask[PROTOTYPE](window) == expected, (demand.name, window)
                asked.append(demand)
    assert {demand.prototype_ratio for demand in asked} == {1, 5}
    assert sum(len(demand.windows) > 1 for demand in asked) == 3


def test_a_peer_turns_the_pages_of_a_list_to_its_end(world: World, peer: Peer) -> None:
    for resource_type in ResourceType:
        for draw_window in (WINDOWS["one hour"], WINDOWS["30 days, odd seconds"]):
            (window,) = windows(draw_window, 1)
            after, pages = None, 0
            while after is not None or not pages:
                expected = world.store.resources(ORG, resource_type, window, limit=20, after=after)
                assert peer.resources(ORG, resource_type, window, limit=20, after=after) == expected
                after, pages = expected.next, pages + 1


def test_a_peer_turns_the_pages_of_conversations_to_their_end(world: World, peer: Peer) -> None:
    resource = world.data.workload.resource_of_share(COLD_SHARE * 50)[:2]
    for kind in UsageKind:
        for window in (Window(), *windows(WINDOWS["30 days, odd seconds"], 1)):
            after, pages = None, 0
            while after is not None or not pages:
                expected = world.store.conversations(
                    ORG, *resource, window, kind=kind, limit=7, after=after
                )
                found = peer.conversations(ORG, *resource, window, kind=kind, limit=7, after=after)
                assert found == expected
                after, pages = expected.next, pages + 1


def test_a_peer_keeps_organizations_apart(world: World, peer: Peer) -> None:
    small = world.data.small[0]
    for share in (1.0, 0.1):
        resource_type, resource_id, _ = small.resource_of_share(share)
        for org in ("small", ORG, "nobody"):
            assert peer.summary(org, resource_type, resource_id, Window()) == world.store.summary(
                org, resource_type, resource_id, Window()
            )


def test_a_peer_counts_zero_of_what_nobody_used(peer: Peer) -> None:
    start = datetime.fromisoformat("2025-01-01T00:00:00Z")
    bounds = [start + timedelta(days=day) for day in range(3)]
    for summary in (
        peer.summary(ORG, ResourceType.ACTION, "unheard-of", Window()),
        *peer.timeline(ORG, ResourceType.ACTION, "unheard-of", bounds),
    ):
        assert summary.applied_replies == summary.available_sessions == 0
        assert summary.last_used_at is None
    before = Window(None, start)
    assert peer.resources(ORG, ResourceType.ACTION, before, limit=5).items == []
    assert peer.conversations(ORG, ResourceType.ACTION, "unheard-of", before, limit=5).items == []


def test_later_pages_and_other_windows_are_really_asked_for(world: World) -> None:
    found = {question.name: question for question in questions(world.data.workload, world.store)}
    assert all(
        asking.after is not None
        for name, question in found.items()
        if "hundredth" in name or ("tenth page" in name and "all time" in name)
        for asking in question.askings
    )
    assert all(
        len({asking.window for asking in question.askings}) > 1
        for name, question in found.items()
        if name.endswith(("30 whole days", "odd seconds", "one hour"))
    )
