"""Packing: the shortest bytes for a bitmap.

Roaring packs bits into containers of 65,536. The ordinals of a day lie in a small part of one
container, where Roaring's own forms are two bytes for each bit, or 8 KiB for the whole container.
So beside its portable format there is a form of our own: the bits of one container, cut to the
bytes in use. It starts with a byte that no portable bitmap starts with:

    tag (u8), key (u16), first byte (u16), cardinality (u16), bits

Roaring itself turns arrays into bits and back: more than 4,096 of a container it stores as bits, so
a quarter of the container that is not in use is stuffed with 8,192 while it does. Source of the
portable format: the Roaring format specification, github.com/RoaringBitmap/RoaringFormatSpec.
"""

from struct import Struct

from pyroaring import BitMap

_TAG = 1
_HEADER = Struct("<BHHH")
_BITSET_HEADER = Struct("<IIHHI")  # cookie, containers, key, cardinality - 1, offset of the bits
_COOKIE = 12_346
_CONTAINER_BYTES = 8_192
_QUARTER = 16_384
_STUFFING = [BitMap(range(q * _QUARTER, (q + 1) * _QUARTER, 2)) for q in range(4)]
_STUFFING_BYTES = b"\x55" * (_QUARTER // 8)
_STUFFING_BITS = _QUARTER // 2
_WORTHWHILE = 128
"""The bytes that must be saved: bits take some five microseconds more to read than an array."""


def pack(bitmap: BitMap) -> bytes:
    """The bytes of a bitmap."""
    bitmap.run_optimize()
    portable: bytes = bitmap.serialize()
    if len(portable) <= _WORTHWHILE:
        return portable
    first, last = bitmap.min(), bitmap.max()
    key = first >> 16
    start, end = (first & 0xFFFF) >> 3, ((last & 0xFFFF) >> 3) + 1
    free = _free_quarter(start, end)
    saved = len(portable) - _HEADER.size - (end - start)
    if last >> 16 != key or free is None or saved < _WORTHWHILE:
        return portable
    stuffed = bitmap | _STUFFING[free].shift(key << 16)
    bits = stuffed.serialize()[_BITSET_HEADER.size :][start:end]
    return _HEADER.pack(_TAG, key, start, len(bitmap)) + bits


def unpack(packed: bytes) -> BitMap:
    """The bitmap of some bytes. Raises ValueError where they are none."""
    if packed[:1] != b"\x01":
        return BitMap.deserialize(packed or b"\0")
    _, key, start, cardinality = _HEADER.unpack(packed[: _HEADER.size].ljust(_HEADER.size))
    end = start + len(packed) - _HEADER.size
    free = _free_quarter(start, end)
    if free is None:
        raise ValueError("the bits fill more than a container has")
    container = bytearray(_CONTAINER_BYTES)
    container[start:end] = packed[_HEADER.size :]
    container[free * _QUARTER // 8 : (free + 1) * _QUARTER // 8] = _STUFFING_BYTES
    header = _BITSET_HEADER.pack(
        _COOKIE, 1, key, cardinality + _STUFFING_BITS - 1, _BITSET_HEADER.size
    )
    bitmap = BitMap.deserialize(header + container)
    bitmap.remove_range((key << 16) + free * _QUARTER, (key << 16) + (free + 1) * _QUARTER)
    return bitmap


def _free_quarter(start: int, end: int) -> int | None:
    """A quarter of a container that bytes ``start`` to ``end`` leave free, if there is one."""
    if start >= _QUARTER // 8:
        return 0
    return 3 if end <= 3 * _QUARTER // 8 else None
