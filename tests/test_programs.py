"""The Python on the page about Python does what the page shows."""

from pathlib import Path

from tests.programs import Block, differences, read_program
from tests.servers import Server

PAGE = Path(__file__).parent.parent / "docs" / "python.md"


def test_the_page_about_python_does_what_it_shows(server: Server, tmp_path: Path) -> None:
    blocks = read_program(PAGE.read_text(encoding="utf-8"))
    assert len(blocks) > 10
    key = server.new_key(server.new_org())
    assert list(differences(blocks, server.url, key, tmp_path)) == []


def test_a_program_that_does_something_else_is_told_apart(tmp_path: Path) -> None:
    page = "# A\n\n```python\nx = 1\nprint(x)\n```\n\n```text\n1\n```\n\n```python\nprint(x)\n```\n"
    good, bad = read_program(page)
    assert (good, bad) == (Block(4, "x = 1\nprint(x)\n", "1\n"), Block(13, "print(x)\n", ""))
    assert list(differences([good], "http://x", "", tmp_path)) == []
    (told,) = differences([good, bad], "http://x", "", tmp_path)
    assert told.startswith("line 13 should print")
    (told,) = differences([Block(9, "1 / 0\n", "")], "http://x", "", tmp_path)
    assert 'File "page", line 9' in told
