"""What each dialect reads stands in the table of its page, and nothing else does."""

import ast
import re
from pathlib import Path

import pytest

from applyrate.intake import conventions
from applyrate.intake.conventions.instructions import PROMPT_NAMES

CODE = Path(conventions.__file__).parent
PAGES = Path(__file__).parent.parent / "docs" / "conventions"
DIALECTS = [read.__module__.rpartition(".")[2] for read in conventions.DIALECTS]

# An attribute's name has a dot in it, which no key inside of a value has.
NAME = re.compile(r"[a-z_]+(\.[A-Za-z_0-9]+)+")


def named_in_code(dialect: str) -> set[str]:
    tree = ast.parse((CODE / f"{dialect}.py").read_text(encoding="utf-8"))
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {
        name
        for text in texts
        if isinstance(text, str) and NAME.fullmatch(name := re.sub(r"\.0\.\w+$|\.$", "", text))
    }


def named_in_table(dialect: str) -> set[str]:
    """The names in the first column; one with a number in it is the names on both its sides."""
    page = (PAGES / f"{dialect}.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    quoted = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    return {part for name in quoted for part in re.split(r"\.[NM]\.", name) if NAME.fullmatch(part)}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_table_of_a_dialect_has_what_its_code_reads(dialect: str) -> None:
    assert named_in_table(dialect) == named_in_code(dialect)


def test_every_dialect_has_a_page_and_every_page_a_dialect() -> None:
    files = {path.stem for path in PAGES.glob("*.md")} - {"index"}
    assert files == set(DIALECTS)
    contents = (PAGES / "index.md").read_text(encoding="utf-8")
    assert all(f"\n{dialect}\n" in contents for dialect in DIALECTS)


def test_the_name_of_a_prompt_is_read_by_a_dialect() -> None:
    read = {name for dialect in DIALECTS for name in named_in_code(dialect)}
    assert read.issuperset(PROMPT_NAMES)
