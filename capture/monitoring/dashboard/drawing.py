"""Draw bars, gauges, histograms, curves and pictures of a given size from characters."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len, set_cell_size
from rich.color import Color
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

# The hues are from Okabe and Ito's palette (Color Universal Design, 2008), whose colours can be distinguished with
# every kind of colour vision. Each meaning also has a distinct sign or word, so that no information is lost without
# colour.
GOOD = Style(color="#2cb899")
NOTE = Style(color="#56b4e9")
WARN = Style(color="#e69f00", bold=True)
BAD = Style(color="#ff6d2e", bold=True)
QUIET = Style(dim=True)
PLAIN = Style()
STRONG = Style(bold=True)
FAINT = Style(color="#6c7680")


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The characters that drawings consist of.

    Attributes
    ----------
    levels
        Characters from empty to full, for vertical bars.
    shades
        Characters from dark to bright, for pictures without colour.
    braille
        Whether curves are drawn in braille dots.
    """

    done: str
    running: str
    waiting: str
    failed: str
    skipped: str
    warning: str
    paused: str
    levels: str
    shades: str
    full: str
    empty: str
    rule: str
    band: str
    mark: str
    beyond: str
    ellipsis: str
    dot: str
    degree: str
    about: str
    arrow: str
    braille: bool


UNICODE = Glyphs(
    done="✔",
    running="▶",
    waiting="·",
    failed="✘",
    skipped="↷",
    warning="▲",
    paused="‖",
    levels=" ▁▂▃▄▅▆▇█",
    shades=" ░▒▓█",
    full="━",
    empty="─",
    rule="─",
    band="━",
    mark="◆",
    beyond="▸",
    ellipsis="…",
    dot=" · ",
    degree="°C",
    about="≈ ",
    arrow="→",
    braille=True,
)
ASCII = Glyphs(
    done="+",
    running=">",
    waiting=".",
    failed="X",
    skipped="-",
    warning="!",
    paused="=",
    levels=" .:-=+*%#",
    shades=" .:-=+*#%@",
    full="=",
    empty="-",
    rule="-",
    band="=",
    mark="O",
    beyond=">",
    ellipsis="...",
    dot=", ",
    degree="C",
    about="~",
    arrow="->",
    braille=False,
)


def fit(text: str, width: int, glyphs: Glyphs) -> str:
    """Shorten `text` to `width` cells. Cut it after a word if a word ends in the second half of this width."""
    if cell_len(text) <= width:
        return text
    room = width - len(glyphs.ellipsis)
    if room <= 0:
        return set_cell_size(text, max(width, 0))
    head = set_cell_size(text, room + 1)
    space = head.rfind(" ")
    return (head[:space] if space > room // 2 else set_cell_size(text, room)).rstrip(" ,:;") + glyphs.ellipsis


def bar(fraction: float, width: int, glyphs: Glyphs, style: Style = NOTE) -> Text:
    """Draw a progress bar."""
    filled = round(min(max(fraction, 0.0), 1.0) * width)
    return Text.assemble((glyphs.full * filled, style), (glyphs.empty * (width - filled), FAINT))


def sparkline(values: Sequence[float | None], low: float, high: float, glyphs: Glyphs) -> str:
    """Draw one column per value: no bar for None, the shortest visible bar for `low`, and a full bar for `high`."""
    steps = len(glyphs.levels) - 1
    span = max(high - low, 1e-9)
    return "".join(
        " " if value is None else glyphs.levels[min(max(1 + int((value - low) / span * steps), 1), steps)]
        for value in values
    )


def gauge(level: float, low: float, high: float, width: int, glyphs: Glyphs) -> Text:
    """Draw a level as a mark on a scale that shows a band. The scale runs from 0 to twice the band's upper edge."""
    scale = width / (2 * high) if high > 0 else 0.0
    first, last = int(low * scale), max(int(high * scale), int(low * scale) + 1)
    line = Text.assemble(
        (glyphs.empty * first, FAINT),
        (glyphs.band * (last - first), GOOD),
        (glyphs.empty * (width - last), FAINT),
    )
    inside = low <= level <= high
    position = min(max(int(level * scale), 0), width - 1)
    # If a level is within the band, rounding must not move its mark out of the band.
    position = min(max(position, first), last - 1) if inside else position
    sign = glyphs.mark if level <= 2 * high else glyphs.beyond
    return line[:position] + Text(sign, STRONG if inside else WARN) + line[position + 1 :]


def histogram(counts: NDArray[np.int64], width: int, height: int, glyphs: Glyphs) -> list[str]:
    """Draw a histogram, top line first. The square roots of the counts are shown, so that tails are visible."""
    edges = np.linspace(0, len(counts), width + 1).astype(np.intp)
    # If there are more columns than bins, adjacent columns share a bin.
    columns = np.maximum.reduceat(counts, np.minimum(edges[:-1], len(counts) - 1)).astype(np.float64)
    roots = np.sqrt(np.maximum(columns, 0.0))
    steps = len(glyphs.levels) - 1
    peak = float(roots.max(initial=0.0))
    heights = np.ceil(roots / peak * height * steps).astype(int) if peak > 0 else np.zeros(width, dtype=int)
    return [
        "".join(glyphs.levels[min(max(int(filled) - row * steps, 0), steps)] for filled in heights)
        for row in reversed(range(height))
    ]


class Canvas:
    """A curve and a dotted reference, drawn in braille (2 by 4 dots per character) or with one dot per character.

    Where the curve and the reference share a character, only the curve is drawn, because a character has only one
    colour.

    Parameters
    ----------
    width, height
        Size in characters. The attributes with these names are in dots.
    """

    _BRAILLE = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))

    def __init__(self, width: int, height: int, glyphs: Glyphs) -> None:
        self._braille = glyphs.braille
        self.width, self.height = (width * 2, height * 4) if glyphs.braille else (width, height)
        self._reference = np.zeros((height, width), dtype=np.int32)
        self._measured = np.zeros((height, width), dtype=np.int32)
        self._pen: tuple[float, float] | None = None

    def reference_dot(self, x: float, y: float) -> None:
        """Draw a dot of the reference at `x`, `y` (0 to 1, from the lower left)."""
        self._set(self._reference, x, y)

    def dot(self, x: float, y: float) -> None:
        """Draw a dot at `x`, `y` for a measured value that is not part of the curve."""
        self._set(self._measured, x, y)

    def line_to(self, x: float, y: float) -> None:
        """Continue the curve to `x`, `y`. The first point of a curve is drawn as a dot."""
        from_x, from_y = self._pen or (x, y)
        dots = max(abs(x - from_x) * self.width, abs(y - from_y) * self.height)
        for step in range(math.ceil(dots) + 1):
            share = step / dots if step < dots else 1.0
            self._set(self._measured, from_x + share * (x - from_x), from_y + share * (y - from_y))
        self._pen = x, y

    def _set(self, layer: NDArray[np.int32], x: float, y: float) -> None:
        column = min(max(int(x * self.width), 0), self.width - 1)
        row = min(max(int((1 - y) * self.height), 0), self.height - 1)
        if self._braille:
            layer[row // 4, column // 2] |= self._BRAILLE[column % 2][row % 4]
        else:
            layer[row, column] = 1

    def lines(self, measured: Style, reference: Style = FAINT) -> list[Text]:
        """Return the drawing, top line first."""
        return [self._line(row, measured, reference) for row in range(len(self._measured))]

    def _line(self, row: int, measured: Style, reference: Style) -> Text:
        line = Text()
        for curve, other in zip(self._measured[row].tolist(), self._reference[row].tolist(), strict=True):
            if curve:
                line.append(chr(0x2800 + curve) if self._braille else "*", measured)
            elif other:
                line.append(chr(0x2800 + other) if self._braille else ".", reference)
            else:
                line.append(" ")
        return line


def logarithmic(value: float, low: float, high: float) -> float:
    """Return the position of a positive value on a logarithmic scale, from 0 at `low` to 1 at `high`."""
    return 0.5 if high <= low else (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))


class Picture:
    """A greyscale picture, drawn in half blocks with two pixels per character or, without colours, in shades.

    Parameters
    ----------
    pixels
        The picture, uint8, shape ``(rows, columns)``. It is shrunk to fit the available area, but never enlarged. Its
        aspect ratio does not change.
    """

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self._pixels = pixels

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the picture into the area given by `options`."""
        width, height = options.max_width, options.height or console.height
        pixels = shrink(self._pixels, width, 2 * height)
        colours = not console.no_color and console.color_system in ("256", "truecolor")
        draw = _half_blocks if colours and not options.ascii_only else _shades
        glyphs = ASCII if options.ascii_only else UNICODE
        margin = Segment(" " * ((width - pixels.shape[1]) // 2))
        for line in draw(pixels, glyphs):
            yield margin
            yield from line
            yield Segment.line()


def shrink(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Shrink a picture by averaging blocks, to an even number of rows and at most ``(height, width)`` pixels."""
    rows, columns = pixels.shape
    scale = min(1.0, width / columns, height / rows)
    new_columns, new_rows = max(int(columns * scale), 1), max(int(rows * scale) // 2 * 2, 2)
    row_starts = np.arange(new_rows) * rows // new_rows
    column_starts = np.arange(new_columns) * columns // new_columns
    sums = np.add.reduceat(np.add.reduceat(pixels.astype(np.int64), row_starts, axis=0), column_starts, axis=1)
    ones = np.ones((rows, columns), dtype=np.int64)
    counts = np.add.reduceat(np.add.reduceat(ones, row_starts, axis=0), column_starts, axis=1)
    return (sums // counts).astype(np.uint8)


GREYS = 52
"""Number of grey shades in a picture. With few shades, more neighbouring pixels are equal, so the output is shorter."""


def _half_blocks(pixels: NDArray[np.uint8], _glyphs: Glyphs) -> Iterator[list[Segment]]:
    greys = (pixels.astype(np.int32) * GREYS // 256).tolist()
    for upper, lower in zip(greys[::2], greys[1::2], strict=True):
        yield [Segment("▀" * length, _grey_pair(*pair)) for pair, length in _runs(zip(upper, lower, strict=True))]


def _runs(pairs: Iterator[tuple[int, int]]) -> Iterator[tuple[tuple[int, int], int]]:
    """Yield each sequence of equal pairs, as the pair and the length of the sequence."""
    current, length = next(pairs), 1
    for pair in pairs:
        if pair == current:
            length += 1
        else:
            yield current, length
            current, length = pair, 1
    yield current, length


@lru_cache(maxsize=GREYS * GREYS)
def _grey_pair(upper: int, lower: int) -> Style:
    return Style(color=_grey(upper), bgcolor=_grey(lower))


@lru_cache(maxsize=GREYS)
def _grey(index: int) -> Color:
    value = index * 255 // (GREYS - 1)
    return Color.from_rgb(value, value, value)


def _shades(pixels: NDArray[np.uint8], glyphs: Glyphs) -> Iterator[list[Segment]]:
    means = (pixels[::2].astype(np.int32) + pixels[1::2]) // 2
    for row in (means * len(glyphs.shades) // 256).tolist():
        yield [Segment("".join(glyphs.shades[shade] for shade in row))]
