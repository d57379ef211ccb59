"""A service that is killed while everybody works on it loses nothing that it acknowledged."""

from pathlib import Path

from tests.kill_storm import run_storm

ROUNDS = 6
ROUNDS_OF_A_LIFE = 3


def test_a_killed_service_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    figures = run_storm(tmp_path, ROUNDS, rounds_of_a_life=ROUNDS_OF_A_LIFE)
    for name in (
        "kills while the tables were made",
        "kills of the service at work",
        "replies acknowledged over HTTP",
        "spans acknowledged",
        "traces derived whole",
        "facts acknowledged",
        "questions answered",
    ):
        assert figures[name] > 0, name
