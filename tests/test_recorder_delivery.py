"""What is told to the recorder arrives, whatever the service and the network do, or is counted."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from applyrate import Client, Recorder
from applyrate.client.backlog import MAX_BATCH_BYTES, MAX_BATCH_LINES
from applyrate.errors import InvalidInput
from applyrate.usage import Reply
from tests.scripted_service import Answer, error, scripted_service
from tests.servers import Server, end_process, running_server, start_process

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)
PATIENT = 60


def tell(recorder: Recorder, *names: str, message: str | None = None) -> None:
    """Tell of replies of these ids, each with one invocation of ``look``."""
    for name in names:
        with recorder.reply(session_id="conv_1", reply_id=name, last_message=message) as reply:
            reply.applied(action="look")


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.005)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    wait_for(lambda: "applyrate-recorder" not in [thread.name for thread in threading.enumerate()])


def test_replies_travel_together_compressed_and_with_the_key() -> None:
    with scripted_service() as service, Recorder(service.url, "apr_key") as recorder:
        tell(recorder, *(f"r{number}" for number in range(100)))
        assert recorder.flush(PATIENT)
        (asked,) = service.asked
        assert (asked.method, asked.target) == ("POST", "/replies")
        assert asked.headers["authorization"] == "Bearer apr_key"
        assert asked.headers["content-encoding"] == "gzip"
        assert asked.headers["content-type"] == "application/x-ndjson"
        assert asked.headers["user-agent"].startswith("applyrate-python/")
        assert service.reply_ids == [f"r{number}" for number in range(100)]


def test_without_a_flush_replies_are_sent_after_the_delay() -> None:
    with (
        scripted_service() as service,
        Recorder(service.url, delay_seconds=0.05) as recorder,
    ):
        tell(recorder, "r1")
        wait_for(lambda: service.reply_ids == ["r1"])
        tell(recorder, "r2")
        wait_for(lambda: service.reply_ids == ["r1", "r2"])


def test_a_batch_is_never_larger_than_it_may_be() -> None:
    with (
        scripted_service() as service,
        Recorder(service.url, delay_seconds=PATIENT) as recorder,
    ):
        tell(recorder, *(f"r{number}" for number in range(2 * MAX_BATCH_LINES + 1)))
        assert recorder.flush(PATIENT)
        assert max(len(asked.replies) for asked in service.asked) == MAX_BATCH_LINES
        service.asked.clear()
        tell(recorder, *(f"m{number}" for number in range(200)), message="x" * 65_000)
        assert recorder.flush(PATIENT)
        assert len(service.asked) == 4
        assert all(65_000 * len(asked.replies) < MAX_BATCH_BYTES for asked in service.asked)
        assert service.reply_ids == [f"m{number}" for number in range(200)]


def test_a_full_batch_does_not_wait_for_the_delay() -> None:
    with (
        scripted_service() as service,
        Recorder(service.url, delay_seconds=PATIENT) as recorder,
    ):
        tell(recorder, *(f"r{number}" for number in range(MAX_BATCH_LINES)))
        wait_for(lambda: len(service.asked) > 0)


def test_the_recorder_waits_as_long_as_it_is_told_even_in_a_flush() -> None:
    script = [error(503, retry_after="1"), error(429, retry_after="1")]
    with scripted_service(*script) as service, Recorder(service.url) as recorder:
        tell(recorder, "r1")
        assert not recorder.flush(0.3)
        assert recorder.flush(PATIENT)
        times = [asked.at for asked in service.asked]
        assert len(times) == 3
        assert times[1] - times[0] >= 1
        assert times[2] - times[1] >= 1
        assert recorder.dropped_count == 0


@pytest.mark.parametrize(
    "answer",
    [
        error(408),
        error(500),
        Answer(502, body=b"<html>Bad Gateway</html>"),
        Answer(200, body=b"<html>Welcome to our hotel</html>"),
        Answer(delay_seconds=0.5),
    ],
    ids=["408", "500", "502", "foreign", "slow"],
)
def test_what_was_not_acknowledged_is_sent_again(answer: Answer) -> None:
    with (
        scripted_service(answer) as service,
        Recorder(service.url, timeout_seconds=0.2) as recorder,
    ):
        tell(recorder, "r1", "r2")
        assert recorder.flush(PATIENT)
        assert service.reply_ids == ["r1", "r2"] * 2
        assert recorder.dropped_count == 0


@pytest.mark.parametrize(
    "answer", [error(401), error(403), error(404), Answer(400, body=b"<html>no TLS here</html>")]
)
def test_what_a_person_must_mend_is_told_loudly_and_tried_again(
    answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    with scripted_service(answer, answer) as service, Recorder(service.url) as recorder:
        tell(recorder, "r1")
        assert not recorder.flush(0.3)
        assert len(service.asked) == 1
        (told,) = caplog.records
        assert told.levelno == logging.ERROR
        assert f"tries to send that were refused: 1; the last: {answer.status}: " in caplog.text
        assert not recorder.flush(0.3)
        assert recorder.flush(PATIENT)
        assert service.reply_ids == ["r1"] * 3
        assert recorder.dropped_count == 0


def test_what_the_service_refuses_is_told_of_and_counted_and_the_rest_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rejected = (
        b'{"accepted":1,"duplicates":0,"rejected":[{"index":1,"reply_id":"r2","message":"m"}]}'
    )
    script = [Answer(body=rejected), error(400, "none of 2 replies is usable")]
    with (
        scripted_service(*script) as service,
        Recorder(service.url, delay_seconds=PATIENT) as recorder,
    ):
        tell(recorder, "r1", "r2")
        assert recorder.flush(PATIENT)
        assert recorder.dropped_count == 1
        assert "1 replies were dropped; the last: the service refused 'r2': m" in caplog.text
        tell(recorder, "r3", "r4")
        assert recorder.flush(PATIENT)
        assert recorder.dropped_count == 3
        tell(recorder, "r5")
        assert recorder.flush(PATIENT)
        assert service.reply_ids == ["r1", "r2", "r3", "r4", "r5"]


def test_a_real_service_says_what_is_wrong(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    key = server.new_key(server.new_org())
    with Recorder(server.url, key) as recorder:
        recorder.record(Reply("r1", "conv_1", AT))
        recorder.record(Reply("r1", "conv_2", AT))
        assert recorder.flush(PATIENT)
        assert recorder.dropped_count == 1
        assert "the service refused 'r1': reply_id: 'r1' is already recorded" in caplog.text


def test_a_batch_that_is_too_large_for_something_on_the_way_is_halved() -> None:
    large = error(413)
    with (
        scripted_service(large, large) as service,
        Recorder(service.url, delay_seconds=PATIENT) as recorder,
    ):
        tell(recorder, *"abcdefgh", message="x" * 1000)
        assert recorder.flush(PATIENT)
        assert [len(asked.replies) for asked in service.asked[:3]] == [8, 4, 2]
        assert sorted(set(service.reply_ids)) == [*"abcdefgh"]
        assert recorder.dropped_count == 0


def test_a_reply_that_is_too_large_alone_is_dropped() -> None:
    with scripted_service(error(413)) as service, Recorder(service.url) as recorder:
        tell(recorder, "r1")
        assert recorder.flush(PATIENT)
        assert (len(service.asked), recorder.dropped_count) == (1, 1)
        with recorder.reply(session_id="conv_1") as reply:
            reply.applied(knowledge=[f"{number}" * 80 for number in range(20_000)])
        assert recorder.flush(PATIENT)
        assert (len(service.asked), recorder.dropped_count) == (1, 2)


def test_what_does_not_fit_is_dropped_and_counted_and_never_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        scripted_service(Answer(delay_seconds=2)) as service,
        Recorder(service.url, max_waiting_replies=10, delay_seconds=0) as recorder,
    ):
        started_at = time.monotonic()
        tell(recorder, *(f"r{number}" for number in range(100)))
        assert time.monotonic() - started_at < 2
        assert recorder.flush(PATIENT)
        assert recorder.dropped_count == 90
        assert set(service.reply_ids) == {f"r{number}" for number in range(10)}
        assert "1 replies were dropped; the last: too many wait to be sent already" in caplog.text
    assert "89 replies were dropped" in caplog.text


def test_what_a_closed_recorder_is_told_is_dropped() -> None:
    with scripted_service() as service:
        recorder = Recorder(service.url)
        tell(recorder, "r1")
        assert recorder.close(PATIENT)
        assert recorder.close(PATIENT)
        tell(recorder, "r2")
        assert (service.reply_ids, recorder.dropped_count) == (["r1"], 1)
        assert recorder.flush(1)


def test_what_cannot_be_sent_by_the_end_is_dropped_and_counted() -> None:
    with scripted_service() as service:
        url = service.url
    recorder = Recorder(url)
    tell(recorder, "r1", "r2")
    assert not recorder.flush(0.1)
    assert not recorder.close(0.1)
    assert recorder.dropped_count == 2


def test_a_recorder_that_was_never_told_anything_starts_no_thread() -> None:
    with Recorder("http://127.0.0.1:1") as recorder:
        assert recorder.flush(0)
        assert "applyrate-recorder" not in [thread.name for thread in threading.enumerate()]
    assert recorder.close()


def test_a_recorder_that_is_forgotten_sends_what_it_was_told() -> None:
    with scripted_service() as service:
        tell(Recorder(service.url, delay_seconds=PATIENT), "r1")
        wait_for(lambda: service.reply_ids == ["r1"])


def test_a_flush_waits_for_what_was_told_before_it_and_no_more() -> None:
    with (
        scripted_service(Answer(delay_seconds=0.3), Answer(delay_seconds=2)) as service,
        Recorder(service.url, delay_seconds=0) as recorder,
    ):
        tell(recorder, "r1")
        flushed: list[bool] = []
        thread = threading.Thread(target=lambda: flushed.append(recorder.flush(PATIENT)))
        thread.start()
        wait_for(lambda: len(service.asked) == 1)
        tell(recorder, "r2")
        thread.join()
        assert flushed == [True]
        assert not recorder.flush(0.1)


@pytest.mark.parametrize("given", [{"url": "localhost:8600"}, {"key": "a\nb"}])
def test_a_recorder_that_can_never_work_is_refused_when_it_is_made(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=rf"^{next(iter(given))}: "):
        Recorder(**{"url": "http://127.0.0.1:8600", **given})


def test_a_service_that_is_killed_and_comes_back_loses_nothing(tmp_path: Path) -> None:
    """Recording goes on meanwhile, with a queue that is large enough."""
    with running_server(tmp_path / "data") as server:
        key, port = server.new_key("acme"), int(server.url.rpartition(":")[2])
        with Recorder(server.url, key, delay_seconds=0.01) as recorder:
            ended = threading.Event()
            told: list[str] = []

            def work(name: str) -> None:
                while not ended.wait(0.002):
                    reply_id = f"{name}-{len(told)}"
                    told.append(reply_id)
                    tell(recorder, reply_id)

            threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
            for thread in threads:
                thread.start()
            wait_for(lambda: len(told) > 100)
            server.process.kill()
            server.process.wait()
            wait_for(lambda: len(told) > 400)
            process, url = start_process(tmp_path / "data", port=port)
            try:
                wait_for(lambda: len(told) > 500)
                ended.set()
                for thread in threads:
                    thread.join()
                assert recorder.flush(PATIENT)
                assert recorder.dropped_count == 0
                with Client(url, key) as client:
                    assert client.summary("action", "look").applied_replies == len(told)
            finally:
                ended.set()
                recorder.close()
                end_process(process)


def test_requests_are_of_one_service_alone(server: Server) -> None:
    """Two recorders of two organizations do not mix what they are told."""
    keys = [server.new_key(server.new_org()) for _ in range(2)]
    recorders = [Recorder(server.url, key) for key in keys]
    for number, recorder in enumerate(recorders, start=1):
        tell(recorder, *(f"r{place}" for place in range(number)))
    for number, (recorder, key) in enumerate(zip(recorders, keys, strict=True), start=1):
        assert recorder.close(PATIENT)
        with Client(server.url, key) as client:
            assert client.summary("action", "look").applied_replies == number
