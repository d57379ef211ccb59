"""OTLP, the protocol of OpenTelemetry: a request's body to its spans, in either encoding.

The field names are those of OTLP/JSON, in messages about the binary encoding too.
"""

from applyrate.intake.otlp.decoded import Decoded
from applyrate.intake.otlp.proto_json import decode_json
from applyrate.intake.otlp.protobuf import decode_protobuf

__all__ = ["Decoded", "decode_json", "decode_protobuf"]
