"""Small drawings out of characters: bars, gauges, histograms, curves and pictures, each in a given width and height."""

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

# Hues of Okabe and Ito's palette (Color Universal Design, 2008), which people of every colour vision tell apart; each
# meaning also has its own sign or word, so that nothing is lost without colour.
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
    """The characters that drawings are made of.

    Attributes
    ----------
    levels
        From nothing to full, for bars that grow upwards.
    shades
        From dark to bright, for pictures without colour.
    braille
        True where curves may use braille dots.
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
    """Shorten `text` to `width` characters, at the end of a word where there is one in the last half."""
    if cell_len(text) <= width:
        return text
    room = width - len(glyphs.ellipsis)
    if room <= 0:
        return set_cell_size(text, max(width, 0))
    head = set_cell_size(text, room + 1)
    space = head.rfind(" ")
    return (head[:space] if space > room // 2 else set_cell_size(text, room)).rstrip(" ,:;") + glyphs.ellipsis


def bar(fraction: float, width: int, glyphs: Glyphs, style: Style = NOTE) -> Text:
    """Draw how much is done."""
    filled = round(min(max(fraction, 0.0), 1.0) * width)
    return Text.assemble((glyphs.full * filled, style), (glyphs.empty * (width - filled), FAINT))


def sparkline(values: Sequence[float | None], low: float, high: float, glyphs: Glyphs) -> str:
    """Draw one column per value, None as a gap, `low` as the lowest visible bar and `high` as the full one."""
    steps = len(glyphs.levels) - 1
    span = max(high - low, 1e-9)
    return "".join(
        " " if value is None else glyphs.levels[min(max(1 + int((value - low) / span * steps), 1), steps)]
        for value in values
    )


def gauge(level: float, low: float, high: float, width: int, glyphs: Glyphs) -> Text:
    """Draw where a level lies against a band; the scale runs from 0 to twice the band's upper edge."""
    scale = width / (2 * high) if high > 0 else 0.0
    first, last = int(low * scale), max(int(high * scale), int(low * scale) + 1)
    line = Text.assemble(
        (glyphs.empty * first, FAINT),
        (glyphs.band * (last - first), GOOD),
        (glyphs.empty * (width - last), FAINT),
    )
    inside = low <= level <= high
    position = min(max(int(level * scale), 0), width - 1)
    # A level within the band is marked within it, whatever the rounding.
    position = min(max(position, first), last - 1) if inside else position
    sign = glyphs.mark if level <= 2 * high else glyphs.beyond
    return line[:position] + Text(sign, STRONG if inside else WARN) + line[position + 1 :]


def histogram(counts: NDArray[np.int64], width: int, height: int, glyphs: Glyphs) -> list[str]:
    """Draw a histogram, top line first, by the square root of the counts so that tails are seen, too."""
    edges = np.linspace(0, len(counts), width + 1).astype(np.intp)
    # Where columns are more than bins, neighbours share one.
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
    """A curve and a dotted reference, in braille (2 by 4 dots a character) or, without it, one dot a character.

    Where both fall into one character the curve wins, for a character has but one colour.

    Parameters
    ----------
    width, height
        In characters. The attributes of that name count dots.
    """

    _BRAILLE = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))

    def __init__(self, width: int, height: int, glyphs: Glyphs) -> None:
        self._braille = glyphs.braille
        self.width, self.height = (width * 2, height * 4) if glyphs.braille else (width, height)
        self._reference = np.zeros((height, width), dtype=np.int32)
        self._measured = np.zeros((height, width), dtype=np.int32)
        self._pen: tuple[float, float] | None = None

    def reference_dot(self, x: float, y: float) -> None:
        """Set a dot of the reference at `x`, `y` (0 to 1, from the lower left)."""
        self._set(self._reference, x, y)

    def dot(self, x: float, y: float) -> None:
        """Set a dot of what was measured at `x`, `y`, apart from the curve."""
        self._set(self._measured, x, y)

    def line_to(self, x: float, y: float) -> None:
        """Draw the curve on to `x`, `y`; its first point is a dot."""
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
    """Place a positive value on a logarithmic scale: 0 at `low`, 1 at `high`."""
    return 0.5 if high <= low else (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))


class Picture:
    """A greyscale picture: two pixels a character in half blocks, or shades where there are no colours.

    Parameters
    ----------
    pixels
        uint8, ``(rows, columns)``; shrunk to the room that there is, never enlarged, keeping its aspect.
    """

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self._pixels = pixels

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw into the room that the options give."""
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
    """Average blocks of a picture so that it fits ``(height, width)``; an even number of rows comes out."""
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
"""Shades of grey in a picture: few enough that neighbours often share one, which keeps the terminal's traffic low."""


def _half_blocks(pixels: NDArray[np.uint8], _glyphs: Glyphs) -> Iterator[list[Segment]]:
    greys = (pixels.astype(np.int32) * GREYS // 256).tolist()
    for upper, lower in zip(greys[::2], greys[1::2], strict=True):
        yield [Segment("▀" * length, _grey_pair(*pair)) for pair, length in _runs(zip(upper, lower, strict=True))]


def _runs(pairs: Iterator[tuple[int, int]]) -> Iterator[tuple[tuple[int, int], int]]:
    """Join equal neighbours: each with how often it comes in a row."""
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
