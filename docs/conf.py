"""How the documentation site is built: ``make docs``."""

import sys
from collections.abc import Iterator
from importlib.metadata import version as installed_version
from pathlib import Path

from pygments.lexer import Lexer
from pygments.lexers.shell import BashLexer
from pygments.token import Generic, Text, _TokenType
from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.sessions import split_session

project = "Applyrate"
project_copyright = "The Applyrate authors, MIT licence"
version = release = installed_version("applyrate")

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "Applyrate"
html_static_path = ["_static"]
html_css_files = ["applyrate.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#0b6b57",
        "color-brand-content": "#0b6b57",
        "color-brand-visited": "#0b6b57",
    },
    "dark_css_variables": {
        "color-brand-primary": "#5fd0b5",
        "color-brand-content": "#5fd0b5",
        "color-brand-visited": "#5fd0b5",
    },
}


class SessionLexer(Lexer):
    """Colours a session by the rule that runs it, so that a command of several lines is one."""

    name = "Session"

    def get_tokens_unprocessed(self, text: str) -> Iterator[tuple[int, _TokenType, str]]:
        """The prompt, the command and what it shows, each with its place in the text."""
        at = 0
        for command, shown in split_session(text):
            yield at, Generic.Prompt, "$ "
            at += len("$ ")
            for offset, kind, words in BashLexer().get_tokens_unprocessed(command):
                yield at + offset, kind, words
            at += len(command)
            yield at, Text, "\n"
            at += len("\n")
            if shown:
                yield at, Generic.Output, shown
                at += len(shown)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.add_lexer("console", SessionLexer)
