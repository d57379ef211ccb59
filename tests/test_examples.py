"""What the documentation shows is what happens."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sybil import Example, Sybil
from sybil.parsers.myst import CodeBlockParser

from tests.examples import Terminal, matches, reader_terminal
from tests.sessions import split_session

ROOT = Path(__file__).parent.parent
SETTINGS = {
    "docs/keys-and-tokens.md": {"APPLYRATE_JWT_SECRET": "a secret that nobody else can guess"}
}
PAGES = [
    name
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if "```console" in page.read_text(encoding="utf-8")
    and "_build" not in (name := page.relative_to(ROOT).as_posix())
]


@pytest.mark.parametrize("name", PAGES)
def test_every_example_on_a_page_does_what_it_shows(name: str, tmp_path: Path) -> None:
    with reader_terminal(tmp_path, SETTINGS.get(name, {})) as terminal:
        sybil = Sybil([CodeBlockParser("console", _typed_into(terminal))], patterns=["*.md"])
        examples = list(sybil.parse(ROOT / name).examples())
        assert examples
        for example in examples:
            example.evaluate()


def test_an_example_that_shows_something_else_is_told_apart() -> None:
    assert matches('{"accepted": 1}', '{"accepted":1}\n')
    assert matches("apr_live_...\nkey_...", "apr_live_x\nkey_y\n")
    assert not matches('{"accepted": 2}', '{"accepted":1}\n')
    assert not matches("", "curl: (7) Failed to connect\n")


def test_a_command_goes_on_until_the_shell_has_all_of_it() -> None:
    for command in (
        "echo 'a\n  b'",
        "echo \\\n a",
        "f() {\n  ls\n}",
        "ls |\n  cat",
        "cat <<'E'\na\n\nE",
    ):
        session = f"$ {command}\na\n  b\n$ ls\n"
        assert list(split_session(session)) == [(command, "a\n  b\n"), ("ls", "")]


def _typed_into(terminal: Terminal) -> Callable[[Example], str | None]:
    return lambda example: terminal.evaluate(example.parsed)
