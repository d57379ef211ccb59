"""A service that is half as busy as it can be stays so: nothing fails, nothing piles up."""

import os
from pathlib import Path

import pytest

from tests.soak import MEMORY_SLACK, problems_of, run_soak

IN_CI = os.environ.get("CI", "").lower() == "true"
SECONDS = 300 if IN_CI else 20
# In so short a time its caches still fill: that is bounded, a leak of each request is not.
SLACK = MEMORY_SLACK if IN_CI else 1.5


@pytest.mark.timeout(SECONDS + 300)
def test_a_busy_service_goes_on_without_a_failure_and_without_growing(tmp_path: Path) -> None:
    soaked = run_soak(tmp_path / "data", SECONDS)
    assert problems_of(soaked, memory_slack=SLACK) == []
    assert soaked.questions > 0
