"""What opens something, taken out of texts that are told or logged."""

import re
from typing import Final

_KEY: Final = re.compile(r"(apr_live_)[0-9A-Za-z]+")
_LINK: Final = re.compile(r"(/dashboard/open/)[^/?\s]+")


def redact(text: str) -> str:
    """A text without the secrets of API keys and sign-in links.

    Somebody may have put one where it does not belong, such as a key into a path.
    """
    return _LINK.sub(r"\1...", _KEY.sub(r"\1...", text))
