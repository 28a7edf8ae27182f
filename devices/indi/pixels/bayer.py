"""Align the Bayer pattern that a driver reports with the frame's first pixel."""


def at_first_pixel(pattern: str, offset_x: str, offset_y: str) -> str:
    """Shift a pattern (INDI's CFA_TYPE) by its offsets (CFA_OFFSET_X and CFA_OFFSET_Y), and return it.

    Parameters
    ----------
    pattern
        Colours of a cell, row by row. A cell that is not 2x2 is returned unchanged.
    offset_x, offset_y
        Numbers of columns and rows between the first pixel and the start of the pattern. Text that is not a number
        counts as 0.
    """
    if len(pattern) != 4:  # noqa: PLR2004 - 2x2
        return pattern
    upper, lower = pattern[:2], pattern[2:]
    if _is_odd(offset_x):
        upper, lower = upper[::-1], lower[::-1]
    return lower + upper if _is_odd(offset_y) else upper + lower


def _is_odd(offset: str) -> bool:
    try:
        return int(float(offset)) % 2 == 1
    except (ValueError, OverflowError):
        return False
