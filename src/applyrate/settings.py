"""Every setting: its name, default and help. The environment variable is ``APPLYRATE_<NAME>``."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from applyrate.errors import InvalidInput
from applyrate.rules import broken_rule

PREFIX = "APPLYRATE_"


class Settings(Struct, frozen=True, kw_only=True):
    """The service's settings, in the order in which the documentation lists them."""

    data: Annotated[str, Meta(min_length=1, description="The folder that holds the data.")] = (
        "./applyrate-data"
    )
    host: Annotated[str, Meta(min_length=1, description="The address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65535, description="The port to listen on; 0 takes a free one.")
    ] = 8600
    standard_limit: Annotated[
        int, Meta(ge=0, description="Requests a minute and key, most routes; 0 for no limit.")
    ] = 100
    streaming_limit: Annotated[
        int, Meta(ge=0, description="Requests a minute and key, `POST /replies`; 0 for no limit.")
    ] = 1000
    max_body_bytes: Annotated[
        int, Meta(ge=1, description="The longest JSON body, after decompression.")
    ] = 32 * 1024 * 1024
    max_line_bytes: Annotated[int, Meta(ge=1, description="The longest line of NDJSON.")] = (
        1024 * 1024
    )
    jwt_secret: Annotated[
        Annotated[str, Meta(min_length=32)] | None,
        Meta(description="The secret that HS256 tokens are signed with."),
    ] = None
    jwt_jwks: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(description="The JWKS (a file or a URL) of RS256, ES256 and EdDSA tokens."),
    ] = None
    jwt_issuer: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(description="The `iss` that a token must have."),
    ] = None
    jwt_audience: Annotated[
        Annotated[str, Meta(min_length=1)] | None,
        Meta(description="The `aud` that a token must have."),
    ] = None

    @property
    def data_path(self) -> Path:
        """The data folder."""
        return Path(self.data)


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of an environment. Raises InvalidInput that names the variable and the rule."""
    given = {}
    for field in msgspec.structs.fields(Settings):
        variable = PREFIX + field.name.upper()
        if variable not in environ:
            continue
        try:
            given[field.name] = msgspec.convert(environ[variable], field.type, strict=False)
        except msgspec.ValidationError as error:
            rule = broken_rule(str(error))
            raise InvalidInput(f"{variable}: {environ[variable]!r} {rule}") from None
    return Settings(**given)
