"""Foreign text, such as file names, header values and messages from servers, in a form that is safe on a terminal."""


def visible(text: str) -> str:
    r"""Return text as one line, with each unprintable character replaced by its Python escape sequence.

    Control characters (C0 and C1), which can move the cursor, change colours or inject input, become ``\x1b`` or
    ``\n``; marks that reverse the direction of text become ``\u202e``; and bytes of file names that are not UTF-8,
    which Python represents by lone surrogates (PEP 383), become the escaped byte, such as ``\xff``.
    """
    return text if text.isprintable() else "".join(map(_visible_character, text))


def visible_lines(text: str) -> str:
    """Return text with each of its lines passed through `visible`."""
    return "\n".join(map(visible, text.split("\n")))


def _visible_character(character: str) -> str:
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
