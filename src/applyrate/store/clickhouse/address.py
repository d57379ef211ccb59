"""Addresses: where a cluster is, who asks it and which database is the store's."""

import re
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from msgspec import Struct

from applyrate.errors import InvalidInput

SCHEMES: Final = ("clickhouse", "clickhouses")
FORM: Final = "clickhouse://user:password@host:8123,host2:8123/database?cluster=NAME"

_PORT, _TLS_PORT, _LAST_PORT = 8123, 8443, 65_535
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SWITCH = {"0": False, "1": True}


class Host(Struct, frozen=True):
    """A node's address for HTTP."""

    name: str
    port: int

    def __str__(self) -> str:
        return f"{self.name}:{self.port}"


class Address(Struct, frozen=True, kw_only=True):
    """A ClickHouse store's address.

    ``hosts`` are all nodes, of each shard and replica. ``cluster`` is the name that they have for
    themselves together; None for a single node. ``replicated``: tables have replicas by Keeper.
    """

    hosts: tuple[Host, ...]
    database: str
    user: str = "default"
    password: str = ""
    cluster: str | None = None
    replicated: bool = False
    tls: bool = False


def is_address(text: str) -> bool:
    """Whether a text is meant as the address of a cluster."""
    return text.partition("://")[0] in SCHEMES


def parse_address(text: str) -> Address:
    """The address that a text means.

    Raises InvalidInput that names the rule and never the password.
    """
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise _broken(str(error)) from None
    if parts.scheme not in SCHEMES:
        raise _broken(f"it begins with {' or '.join(f'{scheme}://' for scheme in SCHEMES)}")
    tls = parts.scheme == "clickhouses"
    named, _, places = parts.netloc.rpartition("@")
    user, _, password = named.partition(":")
    hosts = tuple(_host(place, _TLS_PORT if tls else _PORT) for place in places.split(","))
    if len(set(hosts)) < len(hosts):
        raise _broken("a host stands there twice")
    database = unquote(parts.path.removeprefix("/"))
    if not _NAME.fullmatch(database):
        raise _broken(f"the database {database!r} is not a name of letters, digits and underscores")
    options = _options(parts.query)
    cluster = options.get("cluster")
    if cluster is not None and not _NAME.fullmatch(cluster):
        raise _broken(f"cluster={cluster!r} is not a name of letters, digits and underscores")
    if cluster is None and len(hosts) > 1:
        raise _broken("several hosts are the nodes of a cluster; add ?cluster= and its name")
    replicated = options.get("replicated", "0")
    if replicated not in _SWITCH:
        raise _broken(f"replicated={replicated!r} is neither 0 nor 1")
    return Address(
        hosts=hosts,
        database=database,
        user=unquote(user) or "default",
        password=unquote(password),
        cluster=cluster,
        replicated=_SWITCH[replicated],
        tls=tls,
    )


def _host(place: str, default_port: int) -> Host:
    bracketed = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](?::(.*))?", place)
    name, port = bracketed.groups() if bracketed else (*place.split(":", 1), None)[:2]
    if not name or (":" in name and not bracketed):
        raise _broken(f"{place!r} is not a host")
    if port is None:
        return Host(name, default_port)
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= _LAST_PORT:
        raise _broken(f"{port!r} is not a port")
    return Host(name, int(port))


def _options(query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    if unknown := sorted(options.keys() - {"cluster", "replicated"}):
        raise _broken(f"{unknown[0]!r} is not one of its options, cluster and replicated")
    if len(options) < len(pairs):
        raise _broken("an option stands there twice")
    return options


def _broken(rule: str) -> InvalidInput:
    return InvalidInput(f"store: {rule}; an address has the form {FORM}")
