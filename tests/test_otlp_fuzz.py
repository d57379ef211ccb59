"""Twenty seconds of fuzzing the decoder of OTLP find nothing."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 20


def test_no_input_breaks_the_decoder(tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        told = "ATHERIS IS MISSING: the decoder of OTLP was not fuzzed"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(told, pytrace=False)
        pytest.skip(told)
    found = tmp_path / "found-"
    fuzzed = subprocess.run(
        [
            *(sys.executable, "-m", "tests.fuzz_otlp"),
            *(f"-max_total_time={SECONDS}", f"-artifact_prefix={found}"),
        ],
        cwd=Path(__file__).parent.parent,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=SECONDS * 6,
    )
    assert fuzzed.returncode == 0, fuzzed.stderr[-4000:]
    assert "Done" in fuzzed.stderr
