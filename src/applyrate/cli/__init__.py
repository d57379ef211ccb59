"""The command line: ``applyrate COMMAND --help`` says what each command does.

A module for each group of commands. They work on the data folder, also while a server runs on it.
What is heavy to import is imported by the command that needs it, so that each starts at once.
"""

from typing import Annotated

import typer

from applyrate.cli import inbox, keys
from applyrate.cli.audit import audit
from applyrate.cli.backups import backup, restore
from applyrate.cli.checking import check
from applyrate.cli.demo import demo
from applyrate.cli.erasing import erase
from applyrate.cli.importing import import_file
from applyrate.cli.migrating import migrate
from applyrate.cli.questions import list_conversations, list_resources, summary
from applyrate.cli.rejected import rejected
from applyrate.cli.retention import retention
from applyrate.cli.serving import serve
from applyrate.cli.unattributed import attribute, unattributed

app = typer.Typer(
    name="applyrate",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_show_locals=False,
)


def main() -> None:
    """Run the command that the arguments name."""
    app()


def _print_version(wanted: bool) -> None:  # noqa: FBT001 (Typer hands an option's value over so)
    if wanted:
        from importlib.metadata import version

        typer.echo(f"applyrate {version('applyrate')}")
        raise typer.Exit


@app.callback()
def _applyrate(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Count which instructions, knowledge and actions your AI support agent really uses."""


_SERVICE, _QUESTIONS, _DATA = "Service", "Questions", "Data"
app.command("serve", rich_help_panel=_SERVICE)(serve)
app.command("demo", rich_help_panel=_SERVICE)(demo)
app.command("migrate", rich_help_panel=_SERVICE)(migrate)
app.add_typer(keys.app, name="keys", rich_help_panel=_SERVICE)
app.command("summary", rich_help_panel=_QUESTIONS)(summary)
app.command("list", rich_help_panel=_QUESTIONS)(list_resources)
app.command("conversations", rich_help_panel=_QUESTIONS)(list_conversations)
app.command("import", rich_help_panel=_DATA)(import_file)
app.command("unattributed", rich_help_panel=_DATA)(unattributed)
app.command("attribute", rich_help_panel=_DATA)(attribute)
app.command("rejected", rich_help_panel=_DATA)(rejected)
app.add_typer(inbox.app, name="inbox", rich_help_panel=_DATA)
app.command("erase", rich_help_panel=_DATA)(erase)
app.command("retention", rich_help_panel=_DATA)(retention)
app.command("audit", rich_help_panel=_DATA)(audit)
app.command("check", rich_help_panel=_DATA)(check)
app.command("backup", rich_help_panel=_DATA)(backup)
app.command("restore", rich_help_panel=_DATA)(restore)
