"""Scripts and styles: what the build left, under names that change with their content.

Where there is no build (no Node when it was installed), pages have the style, and no script.
"""

import re
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Final

import msgspec
from msgspec import Struct

PREFIX: Final = "/dashboard/static"

_PACKAGE: Final = resources.files("applyrate.dashboard")
_BUILT: Final = _PACKAGE / "static"
_SOURCE: Final = _PACKAGE / "frontend" / "app.css"
_MEDIA_TYPES: Final = {"css": "text/css", "js": "text/javascript"}


class Asset(Struct, frozen=True):
    """A file for the browser; ``gzipped`` where the build compressed it."""

    name: str
    media_type: str
    content: bytes
    gzipped: bytes | None

    @property
    def url(self) -> str:
        """Where it is served; another content has another address."""
        return f"{PREFIX}/{self.name}"


class Assets(Struct, frozen=True):
    """All files for the browser. Without ``script`` the bundle was not built."""

    style: Asset
    script: Asset | None

    def find(self, name: str) -> Asset | None:
        """The file of a name."""
        return next((one for one in (self.style, self.script) if one and one.name == name), None)


@cache
def load_assets() -> Assets:
    """The files of this installation."""
    manifest = _BUILT / "manifest.json"
    if not manifest.is_file():
        return Assets(_unbuilt_style(), None)
    names = msgspec.json.decode(manifest.read_bytes(), type=dict[str, str])
    return Assets(_built(names["app.css"]), _built(names["app.js"]))


def _built(name: str) -> Asset:
    file, gzipped = _BUILT / name, _BUILT / f"{name}.gz"
    return Asset(name, _media_type(name), file.read_bytes(), gzipped.read_bytes())


def _unbuilt_style() -> Asset:
    """The style as its sources have it, each import replaced by what it names."""
    folder = resources.files("applyrate.dashboard") / "frontend"
    named = re.findall(r'@import "\./([\w./]+)"', _SOURCE.read_text(encoding="utf-8"))
    content = "\n".join((folder / name).read_text(encoding="utf-8") for name in named).encode()
    name = f"app-{sha256(content).hexdigest()[:8]}.css"
    return Asset(name, _media_type(name), content, None)


def _media_type(name: str) -> str:
    return _MEDIA_TYPES[name.rpartition(".")[2]]
