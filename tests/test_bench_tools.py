"""What the benchmark measures with: it must not lie."""

import itertools
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bench.building import Loading
from bench.generator import ORG
from bench.load import request_of, send
from bench.prototype.demands import PLAIN, POSTGRES, PROTOTYPE, Demand
from bench.prototype.measuring import Measured
from bench.prototype.telling import tell_prototype
from bench.questions import OURS
from bench.recording import Recorded, Stretch
from bench.results import FIGURES, README, write_readme
from bench.serving import serving
from bench.sharing import SharedRecording
from bench.tables import Part, Table, at_least, at_most, bars_table, markdown
from bench.timing import Patience, Spread, WrongAnswer, ask_in_turns

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


def test_the_readme_keeps_all_but_the_figures_between_its_markers(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    text = README.read_text(encoding="utf-8")
    readme.write_text(text, encoding="utf-8")
    for count in ("1", "2"):
        write_readme(
            f"Run {count} of 1.", Part([Table("Figures", ("", "n"), [["a", count]])]), readme
        )
    written = readme.read_text(encoding="utf-8")
    assert "Run 2 of 1.\n\n### Figures\n\n|  | n |\n| --- | --: |\n| a | 2 |\n" in written
    assert "Run 1 of 1." not in written
    start, end = FIGURES
    assert written.partition(start)[0] == text.partition(start)[0]
    assert written.partition(end)[2] == text.partition(end)[2] != ""
    readme.write_text("# No markers\n", encoding="utf-8")
    with pytest.raises(ValueError, match="the prototype's figures"):
        write_readme("Run 3 of 1.", Part([]), readme)


def test_the_prototypes_figures_are_held_to_postgresql_asked_plainly_and_judged_at_full_size() -> (
    None
):
    def ask(_: Window) -> None: ...

    def spread(seconds: float) -> Spread:
        return Spread(seconds, seconds, seconds, seconds)

    names = (OURS, POSTGRES, PLAIN, PROTOTYPE)
    demand = Demand("list", dict.fromkeys(names, ask), [Window()], 100, 5)
    alone = Demand("list alone", {OURS: ask}, [Window()], 100)
    seconds = dict(zip(names, map(spread, (0.01, 0.5, 2.0, 0.04)), strict=True))
    recorded = Recorded(Stretch(1000, 1, 2), {OURS: 1.0, POSTGRES: 2.5}, seconds)
    measured = Measured(
        usage_count=100,
        loading=Loading(1000, 0.5),
        recorded=[recorded, recorded],
        disk={OURS: 901, POSTGRES: 9010},
        asked=[(demand, seconds), (alone, {OURS: spread(0.01)})],
    )
    part = tell_prototype(measured, judged=True)
    recording, questions, ways = part.tables
    assert recording.rows[0][3:] == ["2.50x", "2.30x", "yes"]
    assert recording.rows[2][3:] == ["10.0x", "≤ 9", "no"]
    assert questions.rows[0][3:] == ["50.0x", "2,000 (2,000 to 2,000)", "200x", "100x", "yes"]
    assert questions.rows[1][3:] == ["-", "-", "-", "100x", "-"]
    assert ways.rows == [
        ["list", "10.0 (10.0 to 10.0)", "40.0 (40.0 to 40.0)", "4.00x", "5.00x", "no"]
    ]
    assert [(bar.measured, bar.reached) for bar in part.bars] == [
        ("2 of 2", True),
        ("0 of 1; list: 4.00 of 5", False),
    ]
    for table in tell_prototype(measured, judged=False).tables:
        assert all(row[-1] == "-" for row in table.rows)
