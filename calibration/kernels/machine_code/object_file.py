"""The symbols that an ELF object file requires from the process (System V ABI, chapter 4)."""

import struct

_HEADER = b"\x7fELF\x02\x01\x01"
"""Beginning of an ELF file: 64 bits, little-endian, version 1."""

_SECTIONS_AT = struct.Struct("<40xQ10xHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_SYMBOL_TABLE = 2
_UNDEFINED = 0


def undefined_symbols(content: bytes) -> list[str]:
    """Return the names of the symbols that an object file uses but does not define.

    Raises
    ------
    ValueError
        If the content is not an object file for a 64-bit little-endian machine.
    """
    if not content.startswith(_HEADER):
        raise ValueError("not a 64-bit little-endian ELF object file")
    try:
        start, size, count = _SECTIONS_AT.unpack_from(content)
        sections = [_SECTION.unpack_from(content, start + number * size) for number in range(count)]
        return [
            _text(content, sections[section[6]][4] + symbol[0])
            for section in sections
            if section[1] == _SYMBOL_TABLE
            for symbol in _SYMBOL.iter_unpack(content[section[4] : section[4] + section[5]])
            if symbol[3] == _UNDEFINED and symbol[0]
        ]
    except (struct.error, IndexError) as error:
        raise ValueError(f"a damaged object file: {error}") from error


def _text(content: bytes, start: int) -> str:
    return content[start : content.index(b"\0", start)].decode("ascii")
