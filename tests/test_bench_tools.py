"""What the benchmark measures with: it must not lie."""

import itertools
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from bench.generator import ORG
from bench.load import request_of, send
from bench.serving import serving
from bench.sharing import SharedRecording
from bench.tables import at_least, at_most, bars_table, markdown
from bench.timing import Patience, WrongAnswer, ask_in_turns

from applyrate.intake.group_commit import MAX_REPLIES_PER_COMMIT
from applyrate.usage import Reply, Window

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The service as it is measured, with the route that does nothing."""
    with serving(tmp_path_factory.mktemp("data"), ORG, module="bench.served") as address:
        yield address


def reply(name: str) -> Reply:
    return Reply(name, "s", AT)


@pytest.mark.parametrize("size", [1, 1500])
def test_writers_that_share_commits_lose_nothing_and_write_nothing_twice(size: int) -> None:
    commits: list[list[str]] = []

    def record(replies: Sequence[Reply]) -> None:
        time.sleep(0.002)  # meanwhile others arrive
        commits.append([reply.reply_id for reply in replies])

    shared = SharedRecording(record)

    def write(number: int) -> None:
        name = str(number)
        shared([reply(name)] * size)
        assert any(name in commit for commit in list(commits))

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(write, range(100)))
    written = sorted(itertools.chain(*commits))
    assert written == sorted(str(number) for number in range(100) for _ in range(size))
    assert len(commits) < 100
    assert max(map(len, commits)) <= MAX_REPLIES_PER_COMMIT


def test_a_commit_that_fails_is_told_to_all_who_shared_it() -> None:
    def refuse(_: Sequence[Reply]) -> None:
        time.sleep(0.002)
        raise OSError("the disk is full")

    shared = SharedRecording(refuse)
    with ThreadPoolExecutor(8) as threads:
        writes = [threads.submit(shared, [reply("r")]) for _ in range(40)]
    assert all("full" in str(write.exception()) for write in writes)


def test_engines_that_disagree_end_the_run() -> None:
    answers = {"one": lambda _: 1, "other": lambda window: 1 if window == Window() else 2}
    later = Window(AT)
    patience = Patience(0, 2, 2)
    assert ask_in_turns(answers, [Window()], patience)["one"].total >= 0
    with pytest.raises(WrongAnswer, match="other: 2"):
        ask_in_turns(answers, [Window(), later], patience)


def test_every_request_is_answered_and_counted(service: tuple[str, str]) -> None:
    url, key = service
    target = "/{}/instruction/unheard-of/usage-summary"
    for prefix in ("resource-usage", "bench"):
        request = request_of("GET", target.format(prefix), key)
        for depth in (1, 8):
            answered = send(url, iter([request] * 50), clients=3, depth=depth)
            assert len(answered.durations) == 50
            assert all(0 < seconds <= answered.seconds for seconds in answered.durations)
            assert answered.percentile(0.5) <= answered.percentile(0.99)


def test_an_answer_that_is_no_success_ends_the_run(service: tuple[str, str]) -> None:
    url, _ = service
    request = request_of("GET", "/bench/action/look/usage-summary", "ar_wrong")
    with pytest.raises(WrongAnswer, match="401"):
        send(url, iter([request]), clients=1)


def test_sending_ends_when_its_time_is_over(service: tuple[str, str]) -> None:
    url, key = service
    request = request_of("GET", "/bench/action/look/usage-summary", key)
    answered = send(url, itertools.repeat(request), clients=2, depth=4, seconds=0.1)
    assert answered.seconds >= 0.1
    assert len(answered.durations) >= 8


def test_a_bar_says_whether_it_is_reached() -> None:
    bars = [at_most("disk", 9, 7.75, "bytes"), at_least("rate", 3, 2.5), at_least("more", 1, None)]
    assert [bar.reached for bar in bars] == [True, False, None]
    text = markdown(bars_table(bars))
    assert "| disk | at most 9 bytes | 7.75 bytes | yes |" in text
    assert "| rate | at least 3 times | 2.50 times | no |" in text
    assert "| more | at least 1 times | - | - |" in text
    assert "| disk | at most 9 bytes | 7.75 bytes | - |" in markdown(bars_table(bars, judged=False))
