"""What every ``tests/fuzz_*.py`` is: a decoder, what must hold of anything it is given, and seeds.

``python -m tests.fuzz_NAME [options of libFuzzer]`` throws bytes at one of them,
``python -m tests.fuzzing [SECONDS]`` at all of them, one after the other, and at the API before.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import atheris  # type: ignore[import-untyped]  # it has no types

LIMITS = ("-rss_limit_mb=1024", "-malloc_limit_mb=256", "-timeout=5", "-max_len=100000")
TESTS = Path(__file__).parent
SECONDS = 60


def fuzz(check: Callable[[bytes], None], seeds: Iterable[bytes]) -> None:
    """Throw bytes at a check until libFuzzer's options end it.

    The status of the process is not 0 if the check raised, or took too much memory or time.
    """
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds):
            (Path(folder) / str(number)).write_bytes(seed)
        atheris.Setup([sys.argv[0], *LIMITS, *sys.argv[1:], folder], check)
        atheris.Fuzz()


def names() -> list[str]:
    """What there is to fuzz."""
    return sorted(path.stem for path in TESTS.glob("fuzz_*.py"))


def command(name: str, seconds: int, *options: str) -> list[str]:
    """What fuzzes one of them for so long."""
    return [sys.executable, "-m", f"tests.{name}", f"-max_total_time={seconds}", *options]


def main() -> None:
    """Fuzz everything, each for so many seconds; stop at the first that finds something."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    of_api = [sys.executable, "-m", "tests.conformance", str(seconds)]
    for each in (of_api, *(command(name, seconds) for name in names())):
        print(*each[1:], flush=True)
        subprocess.run(each, cwd=TESTS.parent, check=True)


if __name__ == "__main__":
    main()
