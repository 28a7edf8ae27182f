"""Draw small charts as inline SVG without scripts or styles. The style sheet of the page sets the colours.

Each chart is 420 units wide, whatever its size on the screen. Text in charts is stored as text, not as outlines. The
elements have the classes ``line``, ``dot``, ``bad``, ``model``, ``band``, ``grid`` and ``axis``.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

WIDTH, HEIGHT = 420, 220
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 28, 40
TICKS = 5
_NEAR_EDGE = 26
_NICE = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a chart.

    Attributes
    ----------
    low, high
        Values at the ends of the axis. `high` is above `low`, and both are above 0 on a logarithmic axis.
    label
        Name of the quantity, with its unit.
    ticks
        Values marked by ticks; None for round values.
    words
        Labels of the ticks; None to label ticks with their values.
    """

    low: float
    high: float
    label: str
    logarithmic: bool = False
    ticks: tuple[float, ...] | None = None
    words: tuple[str, ...] | None = None

    def place(self, value: float) -> float:
        """Return the position of a value, from 0 to 1. A value beyond an end is placed at that end."""
        if not self.is_sane:
            return 0.5
        low, high, at = self.low, self.high, value
        if self.logarithmic:
            low, high, at = math.log(low), math.log(high), math.log(max(value, low))
        return min(max((at - low) / (high - low), 0.0), 1.0)

    @property
    def is_sane(self) -> bool:
        """True if the axis has a finite, positive length. Invalid numbers in a journal can make this False."""
        span = self.high - self.low
        return 0 < span < math.inf and (self.low > 0 or not self.logarithmic) and self.low + span / TICKS > self.low

    @property
    def marks(self) -> list[tuple[float, str]]:
        """Values and labels of the ticks."""
        ticks = self.ticks
        if not self.is_sane:
            return []
        if ticks is None:
            ticks = decades(self.low, self.high) if self.logarithmic else round_values(self.low, self.high)
        words = self.words or (decade_texts(ticks) if self.logarithmic else number_texts(ticks))
        return list(zip(ticks, words, strict=True))


def padded(values: Iterable[float], label: str, share: float = 0.08) -> Axis:
    """Return an axis that covers all values with a margin."""
    known = [value for value in values if math.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    margin = (high - low) * share or abs(high) * 0.01 or 1.0
    return Axis(low - margin, high + margin, label)


def round_values(low: float, high: float, most: int = TICKS) -> tuple[float, ...]:
    """Return about `most` round numbers between two values."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(nice * power for nice in _NICE if nice * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return tuple(round(number * step, 12) for number in range(first, last + 1))


def decades(low: float, high: float) -> tuple[float, ...]:
    """Return the powers of 10 between two values.

    If there are too few, their multiples by 2 and 5 are added, or round values are returned instead. If there are more
    than `TICKS`, only every second, third, ... power is returned.
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    whole = tuple(10.0**power for power in powers if low <= 10.0**power <= high)
    if len(whole) > TICKS:
        return whole[:: -(-len(whole) // TICKS)]
    if len(whole) > 2:  # noqa: PLR2004 - enough to read a scale
        return whole
    fine = tuple(digit * 10.0**power for power in powers for digit in (1, 2, 5))
    within = tuple(value for value in fine if low <= value <= high)
    return within if len(within) > 2 else round_values(low, high)  # noqa: PLR2004 - as above


def decade_texts(values: Sequence[float]) -> tuple[str, ...]:
    """Return numbers as text that fits a narrow margin: a million becomes "1 M"."""
    texts = number_texts(values)
    millions = [f"{value / 1e6:g} M" if value >= 1e6 else "" for value in values]  # noqa: PLR2004
    return tuple(short or text for short, text in zip(millions, texts, strict=True))


def number_texts(values: Sequence[float]) -> tuple[str, ...]:
    """Return numbers as text, with as many decimals as are needed to distinguish them."""
    for decimals in range(10):
        texts = tuple(f"{value:,.{decimals}f}" for value in values)
        exact = all(
            abs(float(text.replace(",", "")) - value) <= 1e-6 * abs(value)
            for text, value in zip(texts, values, strict=True)
        )
        if exact and len(set(texts)) == len(set(values)):
            return texts
    return tuple(f"{value:.3g}" for value in values)


@dataclass(slots=True)
class Chart:
    """A chart that is drawn in parts. Later parts cover earlier parts."""

    x: Axis
    y: Axis
    description: str
    height: int = HEIGHT
    _parts: list[str] = field(default_factory=list)

    def _x(self, value: float) -> str:
        return f"{LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT):.1f}".rstrip("0").rstrip(".")

    def _y(self, value: float) -> str:
        bottom = self.height - BOTTOM
        return f"{bottom - self.y.place(value) * (bottom - TOP):.1f}".rstrip("0").rstrip(".")

    def line(self, points: Iterable[tuple[float, float | None]], name: str = "line") -> None:
        """Draw a curve, with a gap at each value that is None or not finite."""
        path, is_down = [], False
        for x, y in points:
            if y is None or not math.isfinite(y):
                is_down = False
                continue
            path.append(f"{'L' if is_down else 'M'}{self._x(x)} {self._y(y)}")
            is_down = True
        if path:
            self._parts.append(f'<path class="{name}" d="{"".join(path)}"/>')

    def dots(self, points: Iterable[tuple[float, float | None]], name: str = "dot", radius: float = 2.2) -> None:
        """Draw a dot at each point."""
        places = [(self._x(x), self._y(y)) for x, y in points if y is not None and math.isfinite(y)]
        if places:
            circles = "".join(f'<circle cx="{x}" cy="{y}" r="{radius:g}"/>' for x, y in places)
            self._parts.append(f'<g class="{name}">{circles}</g>')

    def crosses(self, points: Iterable[tuple[float, float | None]]) -> None:
        """Draw a vertical line at each point, with a cross at its value, or at the bottom if the value is unknown."""
        for place, value in points:
            is_known = value is not None and math.isfinite(value)
            x, top, bottom = float(self._x(place)), TOP, self.height - BOTTOM
            y = min(max(float(self._y(value)) if value is not None and is_known else bottom, top + 6), bottom - 6)
            self._parts.append(
                f'<g class="bad"><path class="mark" d="M{x:g} {top}V{bottom}"/>'
                f'<path d="M{x - 4:g} {y - 4:g}l8 8m0 -8l-8 8"/></g>'
            )

    def band(self, low: float, high: float) -> None:
        """Shade the area between two values of the y axis."""
        top, bottom = self._y(high), self._y(low)
        height = max(float(bottom) - float(top), 0.5)
        self._parts.append(
            f'<rect class="band" x="{LEFT}" y="{top}" width="{WIDTH - LEFT - RIGHT}" height="{height:.1f}"/>'
        )

    def bars(self, heights: Sequence[float], low: float, high: float) -> None:
        """Draw bins of equal width from `low` to `high` as one filled outline."""
        bottom, width = self._y(self.y.low), (high - low) / max(len(heights), 1)
        path = [f"M{self._x(low)} {bottom}"]
        for place, height in enumerate(heights):
            path.append(f"V{self._y(height) if height > 0 else bottom}H{self._x(low + (place + 1) * width)}")
        self._parts.append(f'<path class="bars" d="{"".join(path)}V{bottom}Z"/>')

    def drawn(self) -> Markup:
        """Return the finished chart."""
        label = escape(self.description)
        opening = f'<svg class="chart" viewBox="0 0 {WIDTH} {self.height}" role="img" aria-label="{label}">'
        return Markup(opening + "".join(self._scales()) + "".join(self._parts) + "</svg>")  # noqa: S704 - all text is escaped

    def _scales(self) -> Iterable[str]:
        bottom, right = self.height - BOTTOM, WIDTH - RIGHT
        for value, text in self.y.marks:
            y = self._y(value)
            yield f'<path class="grid" d="M{LEFT} {y}H{right}"/>'
            yield f'<text x="{LEFT - 6}" y="{float(y) + 4:g}" text-anchor="end">{escape(text)}</text>'
        for value, text in self.x.marks:
            x = self._x(value)
            anchor = "end" if float(x) > WIDTH - _NEAR_EDGE else "middle"
            yield f'<path class="axis" d="M{x} {bottom}v4"/>'
            yield f'<text x="{x}" y="{bottom + 17}" text-anchor="{anchor}">{escape(text)}</text>'
        middle, foot = (LEFT + right) / 2, self.height - 5
        yield f'<path class="axis" d="M{LEFT} {bottom}H{right}"/>'
        yield f'<text class="label" x="{middle:g}" y="{foot}" text-anchor="middle">{escape(self.x.label)}</text>'
        yield f'<text class="label" x="2" y="13">{escape(self.y.label)}</text>'
