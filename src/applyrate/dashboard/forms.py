"""Forms: what a page's form sends, read and checked."""

from urllib.parse import parse_qs

from applyrate.api.bodies import media_type, read_all
from applyrate.api.request import Request
from applyrate.dashboard.tokens import is_csrf_token
from applyrate.errors import Forbidden, InvalidInput

FORM = "application/x-www-form-urlencoded"
CSRF_FIELD = "csrf_token"
CSRF_HEADER = "x-csrf-token"

_FIELDS = "applyrate.form"


class Form:
    """The fields of a form, each with the texts that were given for it."""

    def __init__(self, fields: dict[str, list[str]]) -> None:
        self._fields = fields

    def text(self, name: str, *, longest: int = 512) -> str:
        """The one text of a field, without white space around it; empty where there is none.

        Raises InvalidInput for several, and for one that is too long.
        """
        given = self._fields.get(name, [""])
        if len(given) > 1:
            raise InvalidInput(f"{name}: given more than once; send one")
        text = given[0].strip()
        if len(text) > longest:
            raise InvalidInput(f"{name}: longer than {longest} characters")
        if "\0" in text:
            raise InvalidInput(f"{name}: contains the character U+0000, which no text may")
        return text

    def texts(self, name: str) -> list[str]:
        """All texts of a field, as a row of check boxes gives them."""
        return self._fields.get(name, [])


async def read_form(request: Request) -> Form:
    """The form of a request, which may be read more than once.

    Raises UnsupportedMediaType, PayloadTooLarge, InvalidInput.
    """
    known: Form | None = request.scope.get(_FIELDS)  # type: ignore[assignment]  # a key of our own
    if known is not None:
        return known
    media_type(request, (FORM,))
    # Anybody may send one, so many of them must not fill the memory that is for bodies.
    most = request.services.settings.max_form_bytes
    body = await read_all(request, max_bytes=most, way_out="a form is never so long")
    try:
        fields = parse_qs(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        raise InvalidInput("the form: it is not percent-encoded UTF-8 of few fields") from None
    form = Form(fields)
    request.scope[_FIELDS] = form  # type: ignore[literal-required]  # a key of our own
    return form


_MOST_FIELDS = 200
_OWN = ("same-origin", "none")
"""``none``: the reader, and no page, made the browser send it."""


async def require_csrf_token(request: Request, token: str) -> None:
    """Raise Forbidden unless the request comes from a page of whoever holds the token.

    The proof is the form's hidden field, or the header that htmx sends. A browser that tells whose
    page sent the form (Fetch Metadata, ``Sec-Fetch-Site``) is believed before any proof.
    """
    if request.headers.get("sec-fetch-site", "none") not in _OWN:
        raise Forbidden("the form does not belong to this session: another origin sent it")
    given = request.headers.get(CSRF_HEADER) or (await read_form(request)).text(CSRF_FIELD)
    if not is_csrf_token(given, token):
        raise Forbidden(
            "the form does not belong to this session; open the page again and send it from there"
        )
