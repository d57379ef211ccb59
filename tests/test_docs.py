"""What the program has, the documentation tells; and it stands on its own."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from msgspec import Meta
from msgspec.structs import FieldInfo, fields

from applyrate.api.app import ROUTES
from applyrate.api.operations import READ_SCOPES
from applyrate.cli import app
from applyrate.keys import SCOPES
from applyrate.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
FRONT = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")]


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def help_of(field: FieldInfo) -> str:
    told = [meta.description for meta in get_args(field.type) if isinstance(meta, Meta)]
    return next(text for text in told if text)


@pytest.mark.parametrize("field", fields(Settings), ids=lambda field: str(field.name))
def test_every_setting_is_documented_with_its_default_and_help(field: FieldInfo) -> None:
    value = ",".join(field.default) if isinstance(field.default, tuple) else field.default
    value = str(value).lower() if isinstance(value, bool) else value
    default = f"`{value}` " if value not in (None, "") else ""
    row = f"| `{PREFIX}{field.name.upper()}` | {default}| {help_of(field)} |"
    assert row in text_of("settings.md").splitlines()


def test_no_setting_is_documented_that_is_not_there() -> None:
    known = {PREFIX + field.name.upper() for field in fields(Settings)}
    for page in (*PAGES, *FRONT):
        named = re.findall(rf"\b{PREFIX}[A-Z_]+", page.read_text(encoding="utf-8"))
        assert known.issuperset(named), page.name


def commands(group: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every command by its whole name, groups of commands included."""
    yield name, group
    for word, command in getattr(group, "commands", {}).items():
        yield from commands(command, f"{name} {word}".strip())


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented_with_its_options(name: str) -> None:
    page = text_of("command-line.md")
    if name:
        heading = f"## `{name}`\n"
        assert heading in page
        page = re.split(r"^##", page.partition(heading)[2], maxsplit=1, flags=re.MULTILINE)[0]
    for parameter in COMMANDS[name].params:
        told = [parameter.metavar] if parameter.param_type_name == "argument" else parameter.opts
        for word in told:
            assert re.search(rf"`{word}\b", page), f"{name}: {word} is not documented"


def test_every_route_is_documented() -> None:
    told = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for route in ROUTES:
        path = re.sub(r":\w+}", "}", next(iter(route.paths)))
        method = next(iter(route.http_methods))
        assert f"`{method} {path}`" in told


def test_every_scope_is_documented() -> None:
    page = text_of("keys-and-tokens.md")
    used = {scope for scopes in READ_SCOPES.values() for scope in scopes}
    for scope in used.union(SCOPES):
        assert f"`{scope}`" in page


@pytest.mark.parametrize("page", FRONT, ids=lambda page: str(page.name))
def test_every_link_on_the_front_pages_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            assert (ROOT / target.partition("#")[0]).exists(), target


def test_every_threat_has_a_test_that_is_there() -> None:
    threats = text_of("threat-model.md").partition("\n## Threats and answers\n")[2]
    rows = re.findall(r"^\| (?!threat|---)(.+) \|$", threats, re.MULTILINE)
    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)`", row.rpartition(" | ")[2])
        assert named, row
        assert [name for name in named if not (ROOT / name).exists()] == []


def test_a_decision_has_a_number_and_a_title() -> None:
    names = sorted(file.name for file in (DOCS / "decisions").iterdir())
    for number, name in enumerate(names, start=1):
        assert re.fullmatch(rf"{number:04}-[a-z0-9]+(-[a-z0-9]+)*\.md", name), name


def test_the_changelog_tells_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## Unreleased\n" in changelog
    assert re.search(rf"^## {re.escape(project['version'])}\b", changelog, re.MULTILINE)


def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(
    tmp_path: Path,
) -> None:
    site = tmp_path / "site"
    strictly = ("--fail-on-warning", "--keep-going", "--quiet", "--nitpicky")
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", *strictly, "-b", "dirhtml", DOCS, site],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    assert (site / "semantics" / "index.html").exists()
    for page in site.rglob("*.html"):
        loads = Loads()
        loads.feed(page.read_text(encoding="utf-8"))
        assert [url for url in loads.urls if is_elsewhere(url)] == [], page
    for sheet in (*site.rglob("*.css"), *site.rglob("*.svg")):
        text = sheet.read_text(encoding="utf-8")
        assert re.findall(r"(?:url\(\s*|@import\s+)[\"']?(?:https?:)?//[^\s)]*", text) == [], sheet


def is_elsewhere(url: str) -> bool:
    return re.match(r"(https?:)?//", url) is not None


class Loads(HTMLParser):
    """What a browser fetches for a page without being asked."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        fetched = given.get("src")
        if tag == "link" and given.get("rel") not in ("canonical", "index", "search", "next"):
            fetched = given.get("href")
        if fetched:
            self.urls.append(fetched)
