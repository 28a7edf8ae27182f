"""Numbers with their nouns, such as "1 light" and "1,200 lights"."""


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, in the singular or the plural.

    Parameters
    ----------
    count
        The number.
    noun
        The noun in the singular.
    plural
        The noun in the plural, if it is not the singular with an "s".
    """
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"
