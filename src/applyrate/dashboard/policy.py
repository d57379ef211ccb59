"""What a browser may do with a page of ours: the headers of every answer, and of every cookie."""

from typing import Final

from litestar.datastructures import Cookie

from applyrate.api.request import Request
from applyrate.errors import InvalidInput

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; "
    "script-src 'self'; "
    "style-src 'self'; "
    "img-src 'self' data:; "
    "connect-src 'self'; "
    "form-action 'self'; "
    "frame-ancestors 'none'; "
    "base-uri 'none'"
)

SECURITY_HEADERS: Final = [
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
]

SESSION_COOKIE: Final = "applyrate_session"
VISITOR_COOKIE: Final = "applyrate_visitor"
"""Holds a token for whoever is not signed in, to which the form of the sign-in page belongs."""

THEME_COOKIE: Final = "applyrate_theme"
"""``light`` or ``dark``, where the reader chose one; set by the page's own script."""

_PATH: Final = "/dashboard"


def make_cookie(request: Request, name: str, value: str, max_age_seconds: int | None) -> Cookie:
    """A cookie that no script reads and no other site's form sends.

    It stays until the browser ends, where no age is given; 0 removes it.
    """
    return Cookie(
        name,
        path=_PATH,
        value=value,
        max_age=max_age_seconds,
        secure=is_behind_tls(request),
        httponly=True,
        samesite="lax",
    )


def read_cookie(request: Request, name: str) -> str | None:
    """The value of a cookie that the browser sent, None for an empty one, too.

    Raises InvalidInput where there are several: another service of the same host may have set one,
    and nothing in the request tells whose is whose (RFC 6265, section 8.6).
    """
    sent = request.headers.getall("cookie", [])
    pairs = [part.partition("=") for header in sent for part in header.split(";")]
    given = {value.strip() for key, _, value in pairs if key.strip() == name}
    if len(given) > 1:
        raise InvalidInput(
            f"the cookie {name}: given more than once; clear the cookies of this address, and of"
            " whatever else runs on its host"
        )
    return next(iter(given), None) or None


def is_behind_tls(request: Request) -> bool:
    """Whether the browser speaks TLS, to us or to a proxy that says so."""
    forwarded = request.headers.get("x-forwarded-proto", "").split(",")[0].strip().lower()
    return "https" in (forwarded, request.scope["scheme"])
