"""The packages from npm: exactly those of the lock file, each hash checked, installed once."""

import fcntl
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

LOCKED = Path(__file__).parent / "vercel"
CACHE = Path(__file__).parents[2] / ".cache" / "frameworks"


def node_modules() -> Path:
    """The folder of the installed packages. Raises CalledProcessError where npm cannot."""
    lock = (LOCKED / "package-lock.json").read_bytes()
    folder = CACHE / f"vercel-{sha256(lock).hexdigest()[:12]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # tests run in several processes
        if not (folder / "installed").exists():
            shutil.copytree(LOCKED, folder, dirs_exist_ok=True)
            subprocess.run(
                ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
                cwd=folder,
                check=True,
            )
            (folder / "installed").touch()
    return folder / "node_modules"
