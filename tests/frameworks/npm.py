"""The packages from npm that the frameworks in TypeScript need."""

from pathlib import Path

from tests.npm import install

LOCKED = Path(__file__).parent / "vercel"


def node_modules() -> Path:
    """The folder of the installed packages. Raises CalledProcessError where npm cannot."""
    return install(LOCKED)
