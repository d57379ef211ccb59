"""The programs on the pages: the blocks of ``python`` of one page, run as one, one after the other.

A block of ``text`` that follows on the heels of one shows what that one prints; ``...`` in it
stands for anything. Blocks without one print nothing.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from tests.examples import PAGE_URL, matches

RUN_SECONDS = 120

_BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
_DONE = "\x04done"


class Block(Struct, frozen=True):
    """A piece of a program, where it stands on its page, and what the page says it prints."""

    line: int
    code: str
    shown: str


def read_program(page: str) -> list[Block]:
    """The blocks of a page."""
    return [
        Block(page.count("\n", 0, block.start()) + 2, block[1], block[2] or "")
        for block in _BLOCK.finditer(page)
    ]


def differences(blocks: list[Block], url: str, key: str, folder: Path) -> Iterator[str]:
    """Run the program against a service; a sentence for each block that does something else."""
    program = "".join(map(_step, blocks)).replace(PAGE_URL, url)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "KEY": key},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    if done.returncode or done.stderr:
        yield f"it ended with status {done.returncode} and said\n{done.stderr}"
    for block, output in zip(blocks, done.stdout.split(_DONE), strict=False):
        if not matches(block.shown, output.replace(url, PAGE_URL)):
            yield f"line {block.line} should print\n{block.shown}\nand prints\n{output}"


def _step(block: Block) -> str:
    # At the lines that it has on the page, so that a traceback names them.
    code = "\n" * (block.line - 1) + block.code
    return f"exec(compile({code!r}, 'page', 'exec'))\nprint({_DONE!r}, flush=True)\n"
