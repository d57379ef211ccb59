"""Some seconds of fuzzing each decoder find nothing. ``make fuzz`` takes longer."""

import importlib.util
import os
import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SECONDS = {"fuzz_otlp": 12}
OTHERS_SECONDS = 4
IS_THERE = importlib.util.find_spec("atheris") is not None


@pytest.mark.parametrize("name", sorted(path.stem for path in TESTS.glob("fuzz_*.py")))
def test_no_input_breaks_a_decoder(name: str, tmp_path: Path) -> None:
    if not IS_THERE:
        told = "ATHERIS IS MISSING: no decoder was fuzzed"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(told, pytrace=False)
        pytest.skip(told)
    from tests.fuzzing import command

    found, seconds = tmp_path / "found-", SECONDS.get(name, OTHERS_SECONDS)
    fuzzed = subprocess.run(
        command(name, seconds, f"-artifact_prefix={found}"),
        cwd=TESTS.parent,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=seconds * 30,
    )
    assert fuzzed.returncode == 0, fuzzed.stderr[-4000:]
    assert "Done" in fuzzed.stderr
