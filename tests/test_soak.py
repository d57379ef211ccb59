"""A service that is half as busy as it can be stays so: nothing fails, nothing piles up."""

from pathlib import Path

from tests.soak import problems_of, run_soak

SECONDS = 20


def test_a_busy_service_goes_on_without_a_failure_and_without_growing(tmp_path: Path) -> None:
    soaked = run_soak(tmp_path / "data", SECONDS)
    # In so short a time its caches still fill: that is bounded, a leak of each request is not.
    assert problems_of(soaked, memory_slack=1.5) == []
    assert soaked.questions > 0
