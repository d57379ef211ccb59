"""The library without the service: what ``pip install applyrate`` brings is enough for it."""

import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.servers import Server

ROOT = Path(__file__).parent.parent
HERE = Path(sys.executable).parent

PROGRAM = """
import asyncio, sys
from applyrate import AsyncClient, Client, Recorder

url, key, folder = sys.argv[1:]
for place in (None, folder):
    with Recorder(url, key, folder=place) as recorder:
        look = recorder.action("look")(lambda: None)
        with recorder.reply(session_id="conv_1") as reply:
            reply.available(instruction="tone")
            look()
        assert recorder.flush(30)
with Client(url, key) as client:
    assert client.summary("action", "look").applied_replies == 2
    assert [row.resource_id for row in client.resources("instruction")] == ["tone"]

async def ask():
    async with AsyncClient(url, key) as client:
        return await client.health()

assert asyncio.run(ask()).status == "ok"
for name in ("litestar", "granian", "typer", "rich", "pyroaring", "jwt", "opentelemetry"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise AssertionError(f"{name} is there")
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` of an environment with our wheel and its dependencies, without any extra."""
    folder = tmp_path_factory.mktemp("alone")
    wheels, environment = folder / "wheels", folder / "venv"
    build = f"-m hatchling build -t wheel -d {wheels}".split()
    subprocess.run([sys.executable, *build], cwd=ROOT, check=True, capture_output=True)
    venv.create(environment, symlinks=True)
    (wheel,) = wheels.iterdir()
    python = environment / "bin" / "python"
    install = f"pip install --offline --no-deps --no-config --python {python} {wheel}".split()
    subprocess.run([HERE / "uv", *install], check=True, capture_output=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    (installed,) = Distribution.discover(name="applyrate", path=[str(packages)])
    for needed in needs(installed):
        borrow(needed, packages)
    return environment / "bin"


def needs(project: Distribution, known: frozenset[str] = frozenset()) -> Iterator[Distribution]:
    """What an installation of it brings with it, and what that brings, without extras."""
    for text in project.requires or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if requirement.name in known or (marker and not marker.evaluate({"extra": ""})):
            continue
        needed = distribution(requirement.name)
        yield needed
        yield from needs(needed, known | {requirement.name})


def borrow(needed: Distribution, packages: Path) -> None:
    """Link what is installed here, so that no index is asked."""
    for top in {file.parts[0] for file in needed.files or ()} - {".."}:
        if not (packages / top).exists():
            (packages / top).symlink_to(Path(str(needed.locate_file(top))))


def test_the_library_works_without_the_packages_of_the_service(
    alone: Path, server: Server, tmp_path: Path
) -> None:
    key = server.new_key(server.new_org())
    done = subprocess.run(
        [alone / "python", "-W", "error", "-c", PROGRAM, server.url, key, tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "command", [["applyrate", "serve"], ["python", "-m", "applyrate"]], ids=["program", "module"]
)
def test_the_command_says_in_one_line_what_to_install(alone: Path, command: list[str]) -> None:
    done = subprocess.run(
        [alone / command[0], *command[1:]], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("applyrate: the service is not installed (")
    assert "pip install 'applyrate[server]'" in line


def test_with_the_service_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "applyrate", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("applyrate ")
