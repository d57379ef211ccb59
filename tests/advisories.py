"""What is known against the packages that the lock files name: ``make audit``.

pip-audit is asked about ``uv.lock``, npm about each ``package-lock.json``. They ask databases of
advisories, which a mirror of packages may not have: that nobody could say anything is told apart
from there being nothing to say.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

ROOT: Final = Path(__file__).parents[1]
PYTHON_LOCK: Final = ROOT / "uv.lock"

SERVICES: Final = (("--vulnerability-service=pypi",), ("--vulnerability-service=osv",))
"""Whom pip-audit asks: the next where the one before has no advisories to offer."""


class NotOfferedError(Exception):
    """There is no database of advisories where the packages are taken from."""


class UnansweredError(Exception):
    """There is one, and it did not answer as it should."""


class Audit(Struct, frozen=True):
    """How many packages a lock file names, and what is known against any of them."""

    package_count: int
    found: Sequence[str]


def main() -> int:
    """Audit every lock file; 0 only where all were, and nothing is known."""
    clean = [is_clean(lock, partial(audit_lock, lock)) for lock in every_lock()]
    return 0 if all(clean) else 1


def is_clean(lock: Path, ask: Callable[[], Audit]) -> bool:
    """Print what is known against a lock file; whether that is nothing."""
    name = lock.relative_to(ROOT)
    try:
        audit = ask()
    except (NotOfferedError, UnansweredError) as error:
        print(f"{name}: not audited. {error}")
        return False
    print(f"{name}: {audit.package_count} packages, {len(audit.found) or 'no'} advisories")
    for advisory in audit.found:
        print(f"  {advisory}")
    return not audit.found


def every_lock() -> list[Path]:
    """The lock files of the project, wherever they lie."""
    tracked = _run("git", "ls-files", "*package-lock.json", "uv.lock").stdout.split()
    return [ROOT / name for name in tracked]


def audit_lock(lock: Path) -> Audit:
    """What is known against the packages of a lock file.

    Raises NotOfferedError, UnansweredError.
    """
    return audit_python(exported()) if lock == PYTHON_LOCK else audit_npm(lock.parent)


def exported() -> str:
    """Every package of ``uv.lock`` with its hashes, as pip reads it."""
    uv = Path(sys.executable).with_name("uv")
    everything = ("--all-extras", "--all-groups", "--no-emit-project", "--no-header")
    done = _run(str(uv), "export", "--quiet", "--frozen", *everything)
    done.check_returncode()
    return done.stdout


def audit_python(
    requirements: str, services: Sequence[Sequence[str]] = SERVICES, known: str = "pip-audit"
) -> Audit:
    """What is known against the packages of a text of requirements.

    ``known`` is one of them that any database has heard of. It is asked about first, so that a
    mirror without advisories is asked one question and not hundreds.
    """
    (first,) = re.findall(rf"^{known}==(?:.*\\\n)*.*\n", requirements, re.MULTILINE)
    refusals = []
    for service in services:
        try:
            _ask_pip_audit(first, service)
        except NotOfferedError as error:
            refusals.append(str(error))
            continue
        try:
            return _ask_pip_audit(requirements, service)
        except NotOfferedError as error:  # it was a moment ago
            raise UnansweredError(str(error)) from None
    raise NotOfferedError("; ".join(refusals))


def _ask_pip_audit(requirements: str, service: Sequence[str]) -> Audit:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(requirements)
        file.flush()
        how = ("--require-hashes", "--disable-pip", "--progress-spinner=off", "--format=json")
        done = _run(sys.executable, "-m", "pip_audit", *how, *service, "--requirement", file.name)
    return read_pip_audit(done.stdout, done.stderr)


def read_pip_audit(output: str, errors: str) -> Audit:
    """What pip-audit said in JSON. Raises NotOfferedError, UnansweredError."""
    try:
        told = msgspec.json.decode(output)["dependencies"]
    except (msgspec.DecodeError, KeyError):
        reason = errors.strip().rpartition("\n")[2]
        is_away = re.search(r"\b40[45]\b|NameResolution|Could not connect|refused", errors)
        raise (NotOfferedError if is_away else UnansweredError)(f"pip-audit: {reason}") from None
    skipped = [package["skip_reason"] for package in told if "skip_reason" in package]
    if skipped:
        # pip-audit would call it clean: what it is not told of is not vulnerable.
        raise (NotOfferedError if len(skipped) == len(told) else UnansweredError)(
            f"pip-audit: {skipped[0]}"
        )
    return Audit(len(told), list(_python_advisories(told)))


def _python_advisories(told: list[dict[str, Any]]) -> Iterator[str]:
    for package in told:
        for advisory in package["vulns"]:
            mended = ", ".join(advisory["fix_versions"]) or "none yet"
            named = f"{package['name']} {package['version']}: {advisory['id']}"
            yield f"{named}, mended in {mended}: {advisory['description'][:200]}"


def audit_npm(folder: Path, *options: str) -> Audit:
    """What is known against the packages of a folder's ``package-lock.json``.

    Raises NotOfferedError, UnansweredError.
    """
    done = _run("npm", "audit", "--json", "--package-lock-only", *options, folder=folder)
    told = msgspec.json.decode(done.stdout or "{}")
    if "vulnerabilities" not in told:
        reason = str(told.get("message") or done.stderr.strip() or "it said nothing")
        is_away = told.get("statusCode") in _NOT_OFFERED or _AWAY.search(reason)
        raise (NotOfferedError if is_away else UnansweredError)(f"npm audit: {reason}")
    return Audit(
        told["metadata"]["dependencies"]["total"],
        [
            f"{name}: {advisory['severity']}, {advisory['title']} ({advisory['url']})"
            for name, package in told["vulnerabilities"].items()
            for advisory in package["via"]
            if isinstance(advisory, dict)  # else it is the name of a package that stands here, too
        ],
    )


_NOT_OFFERED: Final = (403, 404, 405, 501)
_AWAY: Final = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ENETUNREACH")


def _run(*command: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
