"""The pages of ``docs/frameworks``: the program that each shows, its sessions and its pictures."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "frameworks"
ARRIVED = "What arrives"
COUNTED = "What is counted"

_FENCE = re.compile(r"^```([\w-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SECTION = re.compile(r"^## (.+)\n", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """A page by its name; ``language`` is its program's."""

    name: str
    language: str = "python"

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.md"

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def program_name(self) -> str:
        return "agent.py" if self.language == "python" else "agent.mjs"

    @property
    def program(self) -> str:
        """All of the page's code in its language, as one program."""
        return "\n".join(self.blocks(self.language))

    @property
    def packages(self) -> list[str]:
        """What the page has its reader install, by pip or npm."""
        command = self.blocks("text")[0].replace("\\\n", "")
        return command.split()[2:]

    def blocks(self, language: str, section: str | None = None) -> list[str]:
        """The fenced blocks of a language, on the page or in one section of it."""
        text = self.text if section is None else self._section(section)
        return [block for found, block in _FENCE.findall(text) if found == language]

    def sessions(self, section: str) -> list[str]:
        """What a reader types in a section."""
        return self.blocks("shell-session", section)

    def picture(self, section: str) -> str:
        """The one picture of a section."""
        (picture,) = self.blocks("text", section)
        return picture

    def draw(self, section: str, picture: str) -> None:
        """Put another picture into a section."""
        old = self._section(section)
        new = old.replace(f"```text\n{self.picture(section)}```", f"```text\n{picture}```", 1)
        self.path.write_text(self.text.replace(old, new, 1), encoding="utf-8")

    def _section(self, title: str) -> str:
        return dict(self._sections())[title]

    def _sections(self) -> Iterator[tuple[str, str]]:
        _, *parts = _SECTION.split(self.text)
        yield from zip(parts[::2], parts[1::2], strict=True)


INDEX = Page("index")
PYDANTIC_AI = Page("pydantic-ai")
OPENINFERENCE = Page("langchain-openinference")
TRACELOOP = Page("langchain-traceloop")
LLAMA_INDEX = Page("llama-index")
OPENAI_AGENTS = Page("openai-agents")
LANGFUSE = Page("langfuse")
VERCEL = Page("vercel-ai-sdk", "js")
PAGES = (PYDANTIC_AI, OPENINFERENCE, TRACELOOP, LLAMA_INDEX, OPENAI_AGENTS, LANGFUSE, VERCEL)
