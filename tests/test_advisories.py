"""Nothing is known against what is locked; and an audit that nobody answered is not a clean one."""

import json
import shutil
from functools import partial
from pathlib import Path

import pytest

from tests.advisories import (
    PYTHON_LOCK,
    ROOT,
    NotOfferedError,
    UnansweredError,
    audit_lock,
    audit_npm,
    audit_python,
    every_lock,
    exported,
    is_clean,
    read_pip_audit,
)
from tests.scripted_service import Answer, ScriptedService, scripted_service

LOCKS = every_lock()
AXE = ROOT / "tests" / "browser" / "axe"

REQUIREMENTS = f"""\
idna==3.6 \\
    --hash=sha256:{"0" * 64} \\
    --hash=sha256:{"1" * 64}
    # via httpx
pip-audit==2.10.1 \\
    --hash=sha256:{"2" * 64}
"""
KNOWN = {
    "id": "PYSEC-2024-60",
    "summary": "a name can take quadratic time",
    "affected": [
        {
            "package": {"name": "idna", "ecosystem": "PyPI"},
            "ranges": [
                {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.7"}]},
            ],
        }
    ],
}
ADVISORY = {
    "id": 1,
    "title": "it runs what it reads",
    "url": "https://advisories.example/1",
    "severity": "high",
    "vulnerable_versions": "<99.0.0",
    "cwe": [],
    "cvss": {"score": 0, "vectorString": None},
}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.relative_to(ROOT)))
def test_nothing_is_known_against_any_locked_package(lock: Path) -> None:
    try:
        audit = audit_lock(lock)
    except NotOfferedError as error:
        pytest.skip(f"nobody here has advisories, so {lock.name} was not audited. {error}")
    assert audit.package_count
    assert audit.found == []


def test_every_lock_file_of_the_project_is_audited() -> None:
    assert PYTHON_LOCK in LOCKS
    assert ROOT / "src/applyrate/dashboard/frontend/package-lock.json" in LOCKS
    assert len(LOCKS) >= 5


def test_every_package_for_python_is_locked_with_a_hash() -> None:
    told = exported().replace("\\\n", "")
    named = [line for line in told.splitlines() if "==" in line]
    assert len(named) > 100
    assert [line for line in named if "--hash=sha256:" not in line] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.relative_to(ROOT)))
def test_every_package_for_node_is_locked_with_a_hash(lock: Path) -> None:
    if lock == PYTHON_LOCK:
        return
    packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    assert len(packages) > 1
    loose = [name for name, told in packages.items() if name and not told.get("integrity")]
    assert loose == []


def answer(told: object, status: int = 200) -> Answer:
    return Answer(status, {"Content-Type": "application/json"}, json.dumps(told).encode())


def asking(service: ScriptedService, folder: Path) -> list[list[str]]:
    """What tells pip-audit to ask a service of ours, and to remember nothing of it elsewhere."""
    where = ["--vulnerability-service=osv", f"--osv-url={service.url}/v1/query"]
    return [[*where, f"--cache-dir={folder}"]]


def test_what_is_known_against_a_python_package_is_told(tmp_path: Path) -> None:
    with scripted_service(answer({}), answer({"vulns": [KNOWN]}), answer({})) as service:
        audit = audit_python(REQUIREMENTS, asking(service, tmp_path))
    assert audit.package_count == 2
    assert audit.found == ["idna 3.6: PYSEC-2024-60, mended in 3.7: a name can take quadratic time"]


@pytest.mark.parametrize("status", [404, 500])
def test_a_database_that_breaks_off_is_not_taken_for_one_without_advisories(
    tmp_path: Path, status: int
) -> None:
    with (
        scripted_service(answer({}), answer({}, status)) as service,
        pytest.raises(UnansweredError, match="pip-audit: "),
    ):
        audit_python(REQUIREMENTS, asking(service, tmp_path))


def test_where_no_database_answers_for_python_nothing_is_called_clean(tmp_path: Path) -> None:
    with scripted_service() as service:
        pass
    with pytest.raises(NotOfferedError, match="pip-audit: "):
        audit_python(REQUIREMENTS, asking(service, tmp_path))


def test_a_package_that_was_passed_over_is_not_called_clean() -> None:
    """Of itself pip-audit ends well with these: it says that no vulnerabilities are known."""
    passed_over = {"name": "idna", "skip_reason": "Dependency not found"}
    for others, raised in (
        ([], NotOfferedError),
        ([{"name": "httpx", "version": "0.28.1", "vulns": []}], UnansweredError),
    ):
        output = json.dumps({"dependencies": [*others, passed_over], "fixes": []})
        with pytest.raises(raised, match="Dependency not found"):
            read_pip_audit(output, "No known vulnerabilities found")


def npm(service: ScriptedService, folder: Path) -> tuple[Path, str, str, str]:
    """A lock file and what tells npm to ask a service of ours, and to remember nothing of it."""
    locked = Path(shutil.copytree(AXE, folder / "locked", dirs_exist_ok=True))
    cache = f"--cache={folder / 'cache'}"
    return locked, f"--registry={service.url}", "--fetch-retries=0", cache


def test_what_is_known_against_a_package_for_node_is_told(tmp_path: Path) -> None:
    package = {"name": "axe-core", "versions": {}, "dist-tags": {}}
    with scripted_service(answer({"axe-core": [ADVISORY]}), answer(package)) as service:
        audit = audit_npm(*npm(service, tmp_path))
    assert audit.package_count == 1
    assert audit.found == ["axe-core: high, it runs what it reads (https://advisories.example/1)"]


def test_a_lock_of_node_that_nothing_is_known_against_is_clean(tmp_path: Path) -> None:
    with scripted_service(answer({})) as service:
        assert audit_npm(*npm(service, tmp_path)).found == []


@pytest.mark.parametrize(
    ("status", "raised"), [(404, NotOfferedError), (405, NotOfferedError), (500, UnansweredError)]
)
def test_a_registry_without_advisories_is_told_from_one_that_fails(
    tmp_path: Path, status: int, raised: type[Exception]
) -> None:
    with scripted_service(answer({}, status)) as service, pytest.raises(raised, match=str(status)):
        audit_npm(*npm(service, tmp_path))


def test_where_no_registry_answers_nothing_is_called_clean(tmp_path: Path) -> None:
    with scripted_service() as service:
        pass
    with pytest.raises(NotOfferedError, match="ECONNREFUSED"):
        audit_npm(*npm(service, tmp_path))


def test_only_what_was_audited_can_be_clean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = AXE / "package-lock.json"
    for given, clean, told in (
        (answer({}), True, "no advisories"),
        (answer({"axe-core": [ADVISORY]}), False, "1 advisories\n  axe-core: high"),
        (answer({}, 405), False, "not audited. npm audit: 405"),
    ):
        with scripted_service(given, answer({"name": "axe-core", "versions": {}})) as service:
            ask = partial(audit_npm, *npm(service, tmp_path))
            assert is_clean(lock, ask) == clean
        assert told in capsys.readouterr().out


def test_make_audit_runs_it() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "-m tests.advisories" in makefile.partition("\naudit:")[2].partition("\n\n")[0]
