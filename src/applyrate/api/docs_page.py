"""The page at ``/docs``: the document for a reader, rendered here, with nothing to fetch.

Its one style and its one script stand in the page itself, and its content security policy lets no
other run.
"""

import base64
import hashlib
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any, Final
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from msgspec import Struct

from applyrate.api.operations import Operation, Parameter

_TEMPLATES: Final = resources.files("applyrate.api") / "templates"
_STYLE: Final = (_TEMPLATES / "docs.css").read_text(encoding="utf-8")
_SCRIPT: Final = (_TEMPLATES / "docs.js").read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        f"style-src {_hash(_STYLE)}",
        f"script-src {_hash(_SCRIPT)}",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


def render(
    document: Mapping[str, Any], operations: Mapping[str, Operation], *, base_url: str
) -> str:
    """The page of a document; ``operations`` by id add scopes and examples to it."""
    page = _View(document, operations, base_url)
    return _PAGE.render(
        info=document["info"],
        base_url=base_url,
        sections=[
            _Section(tag["name"], tag["description"], page.cards(tag["name"]))
            for tag in document["tags"]
        ],
        style=Markup(_STYLE),  # noqa: S704 (our own file)
        script=Markup(_SCRIPT),  # noqa: S704 (our own file)
    )


class _Field(Struct, frozen=True):
    """A line of a table of inputs or outputs."""

    name: str
    kind: str
    note: str
    required: bool
    description: str


class _Card(Struct, frozen=True):
    """One operation on the page."""

    anchor: str
    method: str
    path: Markup
    summary: str
    description: str
    public: bool
    scopes: Sequence[str]
    parameters: Sequence[_Field]
    body: Sequence[_Field]
    body_types: Sequence[str]
    answer: Sequence[_Field]
    responses: Mapping[str, str]
    curl: str
    example: Markup | None


class _Section(Struct, frozen=True):
    """Operations of one tag."""

    name: str
    about: str
    cards: Sequence[_Card]

    @property
    def anchor(self) -> str:
        return self.name.lower().replace(" ", "-")


class _View:
    """The document as the page shows it."""

    def __init__(
        self, document: Mapping[str, Any], operations: Mapping[str, Operation], base_url: str
    ) -> None:
        self._document = document
        self._operations = operations
        self._base_url = base_url

    def cards(self, tag: str) -> list[_Card]:
        return [
            self._card(method, path, described)
            for path, methods in self._document["paths"].items()
            for method, described in methods.items()
            if self._operations[described["operationId"]].tag == tag
        ]

    def _card(self, method: str, path: str, described: Mapping[str, Any]) -> _Card:
        operation = self._operations[described["operationId"]]
        bodies: Mapping[str, Any] = described.get("requestBody", {}).get("content", {})
        answers = described["responses"][str(operation.status.value)].get("content", {})
        answer = answers.get("application/json")
        return _Card(
            anchor=operation.operation_id,
            method=method.upper(),
            path=_mark_parameters(path),
            summary=operation.summary,
            description=operation.description,
            public=operation.public,
            scopes=operation.scopes,
            parameters=[_parameter(parameter) for parameter in operation.parameters],
            body=list(self._fields(_one(bodies["application/json"]["schema"]))) if bodies else [],
            body_types=list(bodies),
            answer=list(self._fields(answer["schema"])) if answer else [],
            responses={
                status: response["description"]
                for status, response in described["responses"].items()
            },
            curl=_curl(self._base_url, method.upper(), path, operation),
            example=None if operation.example is None else _highlight(operation.example),
        )

    def _fields(self, schema: Mapping[str, Any], prefix: str = "") -> Iterator[_Field]:
        """The fields of an object, those of objects inside it after them."""
        component = self._resolve(schema)
        for name, inner in component["properties"].items():
            required = name in component.get("required", ())
            nested = inner.get("items", inner)
            yield _Field(
                prefix + name,
                self._kind(inner),
                _constraints(inner),
                required,
                inner.get("description", ""),
            )
            if "$ref" in nested:
                mark = "[]." if "items" in inner else "."
                yield from self._fields(nested, f"{prefix}{name}{mark}")

    def _kind(self, schema: Mapping[str, Any]) -> str:
        if "anyOf" in schema:
            return " or ".join(self._kind(kind) for kind in schema["anyOf"])
        if "$ref" in schema:
            return "{" + ", ".join(self._resolve(schema)["properties"]) + "}"
        if "enum" in schema:
            return " | ".join(schema["enum"])
        if schema["type"] == "array":
            items = self._kind(schema["items"])
            is_object = items.startswith("{") or items == "object"
            return "array of objects" if is_object else f"array of {items}"
        return str(schema.get("format", schema["type"]))

    def _resolve(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            found: Mapping[str, Any] = self._document["components"]["schemas"][name]
            return found
        return schema


def _one(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of a body that is one thing or an array of them, the one."""
    one: Mapping[str, Any] = schema["anyOf"][0] if "anyOf" in schema else schema
    return one


def _parameter(parameter: Parameter) -> _Field:
    schema = parameter.schema
    kind = " | ".join(schema.get("enum", ())) or schema.get("type", "date or date-time")
    return _Field(
        parameter.name, kind, _constraints(schema), parameter.is_required, parameter.description
    )


def _constraints(schema: Mapping[str, Any]) -> str:
    for kind in schema.get("anyOf", ()):
        if note := _constraints(kind):
            return note
    if "items" in schema and "enum" not in schema["items"]:
        return _constraints(schema["items"])
    notes = []
    if "maxLength" in schema:
        notes.append(f"{schema.get('minLength', 0)} to {schema['maxLength']:,} characters")
    if "maximum" in schema and schema["maximum"] < _TELLING:
        notes.append(f"{schema['minimum']} to {schema['maximum']}")
    if schema.get("default") not in (None, [], {}):
        notes.append(f"default {schema['default']}")
    return ", ".join(notes)


_TELLING: Final = 1_000_000
"""Beyond this a greatest value tells a reader nothing."""


def _curl(base_url: str, method: str, path: str, operation: Operation) -> str:
    examples = {parameter.name: parameter.example for parameter in operation.parameters}
    filled = re.sub(r"\{(\w+)\}", lambda found: quote(examples[found[1]], safe=""), path)
    query = urlencode(
        [
            (parameter.name, parameter.example)
            for parameter in operation.parameters
            if parameter.place == "query" and parameter.example
        ]
    )
    url = base_url + filled + (f"?{query}" if query else "")
    told_method = "" if method in ("GET", "POST") else f"-X {method} "
    lines = [f"curl {told_method}{shlex.quote(url)}"]
    if not operation.public:
        lines.append('-H "Authorization: Bearer $APPLYRATE_KEY"')
    if operation.body_example is not None:
        lines.append("-H 'Content-Type: application/json'")
        body = _lay_out(operation.body_example).replace("\n", "\n  ")
        lines.append(f"-d {shlex.quote(body)}")
    return " \\\n  ".join(lines)


def _lay_out(value: object) -> str:
    """A JSON value on indented lines, an array of plain values on one."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return re.sub(r"\[[^\[\]{}]+\]", lambda found: json.dumps(json.loads(found[0])), text)


_TOKENS: Final = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*")(?=:)|(?P<text>"(?:[^"\\]|\\.)*")|(?P<value>-?\d[\d.]*|null|true|false)'
)


def _highlight(value: object) -> Markup:
    """A JSON value, indented, its parts marked for colour."""
    text = _lay_out(value)
    marked, end = Markup(""), 0
    for token in _TOKENS.finditer(text):
        marked += escape(text[end : token.start()])
        marked += Markup('<span class="{}">{}</span>').format(token.lastgroup, token[0])
        end = token.end()
    return marked + escape(text[end:])


_SEGMENT: Final = Markup("<span>/{}</span>")
_PARAMETER: Final = Markup("<span>/<var>{}</var></span>")


def _mark_parameters(path: str) -> Markup:
    """The path with its parameters told apart; it may break before a slash and nowhere else."""
    return Markup("<wbr>").join(
        (_PARAMETER if part.startswith("{") else _SEGMENT).format(part)
        for part in path.removeprefix("/").split("/")
    )


def _prose(text: str) -> Markup:
    """Paragraphs of plain text with `code` in them."""
    return Markup("").join(
        Markup("<p>{}</p>").format(
            Markup("").join(
                Markup("<code>{}</code>").format(part) if place % 2 else escape(part)
                for place, part in enumerate(paragraph.split("`"))
            )
        )
        for paragraph in text.split("\n\n")
    )


_ENVIRONMENT: Final = Environment(
    loader=PackageLoader("applyrate.api"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters["prose"] = _prose
_PAGE: Final = _ENVIRONMENT.get_template("docs.html")
