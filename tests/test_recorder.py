"""What an agent tells the recorder is what the service counts, and nothing of it raises."""

import asyncio
import contextvars
import inspect
import logging
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from applyrate import Client, Recorder
from applyrate.client.open_reply import LONGEST_MESSAGE
from applyrate.errors import InvalidInput
from applyrate.usage import Applied, Invocation, Reply, UsageKind
from tests.servers import Server

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)


class Agent:
    """A recorder and a client of one organization."""

    def __init__(self, server: Server) -> None:
        key = server.new_key(server.new_org())
        self.recorder = Recorder(server.url, key, delay_seconds=60)
        self.client = Client(server.url, key)

    def settle(self) -> None:
        """Wait until all that was told so far is on disk."""
        assert self.recorder.flush(30)

    def counts(self, resource_type: str, resource_id: str) -> tuple[int, int]:
        """How often it was applied and in how many replies it was available."""
        self.settle()
        summary = self.client.summary(resource_type, resource_id)
        return summary.applied_replies, summary.available_replies


@pytest.fixture
def agent(server: Server) -> Iterator[Agent]:
    agent = Agent(server)
    with agent.client, agent.recorder:
        yield agent


def test_a_reply_is_recorded_as_it_was_told(agent: Agent) -> None:
    with agent.recorder.reply(session_id="conv_1") as reply:
        reply.available(instruction=["ins_tone"], knowledge=("kb_7", "kb_9"), action={"look"})
        reply.available(instruction="ins_tone")
        reply.applied(knowledge="kb_7", action="look")
        reply.applied(instruction=iter(["ins_tone"]))
    assert agent.counts("knowledge", "kb_7") == (1, 1)
    assert agent.counts("knowledge", "kb_9") == (0, 1)
    assert agent.counts("instruction", "ins_tone") == (1, 1)
    assert agent.counts("action", "look") == (1, 1)


def test_each_call_of_an_action_that_is_told_counts_once(agent: Agent) -> None:
    with agent.recorder.reply(session_id="conv_1") as reply:
        reply.applied(action="look")
        reply.applied(action=["look", "look"])
        reply.applied(action="look", call_id="call_1")
        reply.applied(action=[Invocation("look", "call_1"), Invocation("look", "call_2")])
    assert agent.counts("action", "look") == (5, 0)


def test_ids_facts_and_times_may_be_given(agent: Agent) -> None:
    recorder, client = agent.recorder, agent.client
    with recorder.reply(
        session_id="conv_1", reply_id="r_1", replied_at=AT, ticket_number=7, last_message="bye"
    ) as reply:
        reply.applied(action="look")
    with recorder.reply(session_id="conv_1", reply_id="r_2", replied_at=AT) as reply:
        reply.applied(action="look")
        reply.last_message = "x" * (LONGEST_MESSAGE + 1)
        reply.replied_at = AT + timedelta(hours=1)
    agent.settle()
    (row,) = client.conversations("action", "look")
    assert (row.first_used_at, row.last_used_at) == (AT, AT + timedelta(hours=1))
    assert (row.ticket_number, row.last_message) == (7, "x" * LONGEST_MESSAGE)


def test_a_reply_without_a_time_was_sent_when_its_block_ended(agent: Agent) -> None:
    with agent.recorder.reply(session_id="conv_1") as reply:
        reply.applied(action="look")
        before = datetime.now(UTC)
    after = datetime.now(UTC)
    agent.settle()
    used_at = agent.client.summary("action", "look").last_used_at
    assert used_at
    assert before <= used_at <= after


def test_a_reply_whose_block_raises_is_recorded_and_the_error_goes_on(agent: Agent) -> None:
    def answer() -> None:
        with agent.recorder.reply(session_id="conv_1") as reply:
            reply.applied(action="look")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        answer()
    assert agent.counts("action", "look") == (1, 0)


def test_a_discarded_reply_is_not_recorded(agent: Agent) -> None:
    with agent.recorder.reply(session_id="conv_1") as reply:
        reply.applied(action="look")
        reply.discard()
    assert agent.counts("action", "look") == (0, 0)


def test_what_is_told_after_the_block_is_recorded_then(agent: Agent) -> None:
    with agent.recorder.reply(session_id="conv_1") as reply:
        reply.applied(action="look", knowledge="kb_1")
    agent.settle()
    reply.applied(action="look", knowledge="kb_2")
    assert agent.counts("action", "look") == (2, 0)
    assert agent.counts("knowledge", "kb_1") == agent.counts("knowledge", "kb_2") == (1, 1)


def test_a_finished_reply_can_be_recorded_whole(agent: Agent) -> None:
    agent.recorder.record(Reply("r_1", "conv_1", AT, applied=Applied(action=["look"])))
    assert agent.counts("action", "look") == (1, 0)


def test_the_current_reply_is_the_innermost_of_this_recorder(agent: Agent, server: Server) -> None:
    recorder = agent.recorder
    with Recorder(server.url) as other:
        assert recorder.current() is None
        with (
            recorder.reply(session_id="conv_1") as outer,
            other.reply(session_id="conv_2") as foreign,
        ):
            with recorder.reply(session_id="conv_1") as inner:
                assert recorder.current() is inner
                assert other.current() is foreign
                foreign.discard()
            assert recorder.current() is outer
        assert recorder.current() is None


def test_every_task_has_a_current_reply_of_its_own(agent: Agent) -> None:
    recorder = agent.recorder
    look = recorder.action("look")(lambda: None)

    async def answer(number: int) -> None:
        async with recorder.reply(session_id=f"conv_{number}") as reply:
            for _ in range(5):
                await asyncio.sleep(0)
                assert recorder.current() is reply
            await asyncio.to_thread(look)
            await asyncio.gather(asyncio.to_thread(look), asyncio.create_task(late()))

    async def late() -> None:
        look()

    async def run() -> None:
        await asyncio.gather(*(answer(number) for number in range(10)))

    asyncio.run(run())
    assert agent.counts("action", "look") == (30, 10)
    assert agent.client.summary("action", "look").applied_sessions == 10


def test_a_task_that_outlives_the_reply_still_tells_of_it(agent: Agent) -> None:
    look = agent.recorder.action("look")(lambda: None)

    async def run() -> None:
        ended = asyncio.Event()

        async def linger() -> None:
            await ended.wait()
            look()

        async with agent.recorder.reply(session_id="conv_1"):
            task = asyncio.create_task(linger())
            await asyncio.sleep(0)
        ended.set()
        await task

    asyncio.run(run())
    assert agent.counts("action", "look") == (1, 1)


def test_a_reply_that_ends_in_another_context_harms_nothing(agent: Agent) -> None:
    recorder = agent.recorder
    reply = recorder.reply(session_id="conv_1")
    contextvars.copy_context().run(reply.__enter__)
    reply.applied(action="look")
    contextvars.copy_context().run(reply.__exit__, None, None, None)
    assert recorder.current() is None
    assert agent.counts("action", "look") == (1, 0)


def test_a_thread_sees_the_reply_only_where_it_was_given_the_context(agent: Agent) -> None:
    seen: list[object] = []

    def look() -> None:
        seen.append(agent.recorder.current())

    with agent.recorder.reply(session_id="conv_1") as reply:
        context = contextvars.copy_context()
        for target in (look, lambda: context.run(look)):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
    assert seen == [None, reply]


def test_many_threads_may_tell_of_many_replies_at_once(agent: Agent) -> None:
    recorder, per_thread = agent.recorder, 200

    def work(name: int) -> None:
        for number in range(per_thread):
            with recorder.reply(session_id=f"conv_{name}_{number % 7}") as reply:
                reply.available(instruction="tone")
                reply.applied(action="look")

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert agent.counts("action", "look") == (8 * per_thread, 0)
    assert agent.client.summary("action", "look").applied_sessions == 56
    assert recorder.dropped_count == 0


def test_threads_may_share_a_reply(agent: Agent) -> None:
    with agent.recorder.reply(session_id="conv_1") as reply:

        def work(name: int) -> None:
            for number in range(100):
                reply.applied(action="look", knowledge=f"kb_{name}_{number}")

        threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert agent.counts("action", "look") == (400, 0)
    assert len(list(agent.client.resources("knowledge"))) == 400


def test_each_call_of_an_action_is_an_invocation_also_when_it_raises(agent: Agent) -> None:
    recorder = agent.recorder

    @recorder.action
    def look(number: int, *, fails: bool = False) -> int:
        """Look it up."""
        if fails:
            raise KeyError(number)
        return number

    @recorder.action("refund")
    async def pay_back(number: int) -> int:
        await asyncio.sleep(0)
        return number

    class Tools:
        @recorder.action
        def escalate(self) -> "Tools":
            return self

    tools = Tools()
    with recorder.reply(session_id="conv_1"):
        assert look(1) == look(1) == 1
        with pytest.raises(KeyError):
            look(2, fails=True)
        assert asyncio.run(pay_back(3)) == 3
        assert tools.escalate() is tools
    assert agent.counts("action", "look") == (3, 1)
    assert agent.counts("action", "refund") == (1, 1)
    assert agent.counts("action", "escalate") == (1, 1)
    assert (look.__name__, look.__doc__) == ("look", "Look it up.")
    assert inspect.iscoroutinefunction(pay_back)


def test_a_generator_is_an_action_once_it_runs(agent: Agent) -> None:
    recorder = agent.recorder
    closed: list[str] = []

    @recorder.action
    def stream() -> Generator[int, str, None]:
        try:
            received = yield 1
            assert received == "sent"
            yield 2
        finally:
            closed.append("stream")

    @recorder.action
    async def astream() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append("astream")

    async def use() -> None:
        assert [item async for item in astream()] == [1, 2]
        generator: Any = astream()
        async with aclosing(generator):
            assert await anext(generator) == 1

    kinds: list[Any] = [stream, astream]
    assert inspect.isgeneratorfunction(kinds[0])
    assert inspect.isasyncgenfunction(kinds[1])
    with recorder.reply(session_id="conv_1"):
        generator: Any = stream()
        assert next(generator) == 1
        assert generator.send("sent") == 2
        generator.close()
        stream()
        asyncio.run(use())
    assert closed == ["stream", "astream", "astream"]
    assert agent.counts("action", "stream") == (1, 1)
    assert agent.counts("action", "astream") == (2, 1)


def test_an_action_outside_of_any_reply_works_and_is_told_of_in_the_log(
    agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    assert agent.recorder.action("look")(lambda: 5)() == 5
    assert "invocations outside of any reply, not counted: 1; the last: look" in caplog.text
    assert agent.counts("action", "look") == (0, 0)


def test_an_action_must_have_a_name(agent: Agent) -> None:
    class Tool:
        def __call__(self) -> None: ...

    with pytest.raises(InvalidInput, match="has no name; give it one"):
        agent.recorder.action(Tool())
    agent.recorder.action("tool")(Tool())()


BAD: list[Any] = [None, 7, "", "x" * 513, "a\0b", "\ud800", b"kb", ["kb"], object()]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: repr(bad)[:12])
def test_an_id_that_is_none_is_left_out_and_told_of_in_the_log(
    agent: Agent, bad: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with agent.recorder.reply(session_id="conv_1") as reply:
        reply.available(instruction=[bad, "tone"])
        reply.applied(knowledge=["kb_1", bad], action=[bad, "look"])
        if not isinstance(bad, list):
            reply.applied(knowledge=bad, action=bad)
            reply.applied(action="look", call_id="c" if bad is None else bad)
    assert agent.counts("instruction", "tone") == (0, 1)
    assert agent.counts("knowledge", "kb_1") == (1, 1)
    assert agent.counts("action", "look")[0] == (1 if isinstance(bad, list) else 2)
    assert "values were left out: 1; the last: instruction: " in caplog.text
    assert agent.recorder.dropped_count == 0


@pytest.mark.parametrize(
    "facts",
    [
        {"session_id": None},
        {"session_id": ""},
        {"session_id": "s", "replied_at": "yesterday"},
        {"session_id": "s", "ticket_number": -1},
        {"session_id": "s", "last_message": object()},
        {"session_id": "s", "reply_id": "\ud800"},
    ],
)
def test_a_reply_that_breaks_a_rule_is_dropped_and_never_raises(
    agent: Agent, facts: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with agent.recorder.reply(**facts) as reply:
        reply.applied(action="look")
    assert agent.recorder.dropped_count == 1
    assert "1 replies were dropped; the last: it " in caplog.text
    agent.recorder.record(Reply("r", "s", AT))
    agent.settle()


def test_trouble_is_logged_at_once_and_then_once_a_minute(
    agent: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        agent.recorder.record("no reply")  # type: ignore[arg-type]  # that is the point
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    agent.recorder.close()
    assert "4 replies were dropped" in caplog.messages[-1]
    assert agent.recorder.dropped_count == 5


def test_available_and_applied_are_told_apart(agent: Agent) -> None:
    with agent.recorder.reply(session_id="conv_1") as reply:
        reply.available(knowledge="kb_1")
    agent.settle()
    client = agent.client
    assert list(client.conversations("knowledge", "kb_1")) == []
    assert len(list(client.conversations("knowledge", "kb_1", usage=UsageKind.AVAILABLE))) == 1
