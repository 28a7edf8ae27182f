"""Simulate light sources for flats, with all kinds of panels, cameras, and filters from clear to narrowband."""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from coldframe.capture.tuner.flat_test import FlatTest
from coldframe.capture.tuner.limits import BrightnessRange, ExposureSpan, TuningLimits

BAND = (0.30, 0.50)
MAXIMUM_TESTS = 12
FLOOR = 0.15
"""Lowest signal of a colour camera's faintest channel, as a fraction of the usable range."""


class Shape(StrEnum):
    """The response of a panel to its brightness setting."""

    SWITCHED = "no brightness"
    LINEAR = "linear"
    GAMMA = "gamma"
    STEPPED = "PWM steps"
    SATURATING = "saturating"
    GLOWING = "glows at 0"
    LATE = "dark at low settings"
    DEAD = "dead brightness"


WORKING = tuple(shape for shape in Shape if shape is not Shape.DEAD)
"""All shapes except the faulty one, whose brightness has no effect."""


@dataclass(frozen=True, slots=True)
class Converter:
    """The converter of a camera, with levels in ADU.

    The data clip at `clip_adu`, but the driver declares `full_scale_adu`. Values are multiples of `step_adu`.
    """

    bias_adu: float
    clip_adu: float
    full_scale_adu: float
    step_adu: int = 1

    @property
    def is_hidden(self) -> bool:
        """True if the data clip far below the level that the driver declares."""
        return self.clip_adu < 0.9 * self.full_scale_adu


CONVERTERS = (
    *[Converter(500, 65535, 65535)] * 5,
    *[Converter(200, 65520, 65535, 16), Converter(400, 65532, 65535, 4)] * 3,
    *[Converter(64, 4095, 4095), Converter(250, 16383, 16383)] * 2,
    # These data clip below the declared level. The reasons are a slightly lower limit, unscaled data in 16-bit files,
    # and a small full well.
    Converter(1000, 65000, 65535),
    Converter(64, 4095, 65535),
    Converter(250, 16383, 65535),
    Converter(500, 52000, 65535),
)


@dataclass
class Light:
    """A random combination of a panel, a filter and a camera.

    Attributes
    ----------
    parameter
        Parameter of the shape.
    rate_adu_per_s
        Signal per second of the brightest channel at full brightness.
    colours
        Signal of red and blue relative to green; empty for a mono camera.
    drift
        Relative change in the light from frame to frame.
    hot_pixels
        True if some pixels of every frame are saturated.
    """

    shape: Shape
    parameter: float
    rate_adu_per_s: float
    colours: tuple[float, ...]
    dead_time_s: float
    drift: float
    converter: Converter
    gain_e_per_adu: float
    hot_pixels: bool
    limits: TuningLimits
    noise: random.Random
    shots: int = field(default=0)

    def response(self, brightness: int | None) -> float:
        """Return the light at a brightness setting, relative to full brightness."""
        if brightness is None or self.shape is Shape.DEAD:
            return 1.0
        panel = self.limits.brightness
        assert panel is not None
        part, parameter = brightness / panel.maximum, self.parameter
        responses: dict[Shape, Callable[[], float]] = {
            Shape.GAMMA: lambda: math.pow(part, parameter),
            Shape.STEPPED: lambda: math.ceil(part * parameter) / parameter,
            Shape.SATURATING: lambda: (1 - math.exp(-part / parameter)) / (1 - math.exp(-1 / parameter)),
            Shape.GLOWING: lambda: parameter + (1 - parameter) * part,
            Shape.LATE: lambda: max(0.0, part - parameter) / (1 - parameter),
        }
        return responses[self.shape]() if self.shape in responses else part

    @property
    def faintest_part(self) -> float:
        """Signal of the faintest channel, relative to the signal of the brightest channel."""
        return min((1.0, *self.colours)) / max((1.0, *self.colours))

    @property
    def band(self) -> tuple[float, float]:
        """Band of the brightest channel that suits all channels or, if there is none, only the brightest channel."""
        low, high = BAND
        return max(low, FLOOR / self.faintest_part) if self.faintest_part > FLOOR / 0.425 else low, high

    @property
    def range_adu(self) -> float:
        """The range between the bias level and clipping."""
        return self.converter.clip_adu - self.converter.bias_adu

    def signal_adu(self, exposure_s: float, brightness: int | None) -> float:
        """Return the brightest channel's signal before drift, noise and clipping."""
        return self.rate_adu_per_s * self.response(brightness) * max(0.0, exposure_s - self.dead_time_s)

    def shoot(self, exposure_s: float, brightness: int | None) -> FlatTest:
        """Return a frame in which the light has drifted, and the levels are noisy and clipped."""
        self.shots += 1
        converter = self.converter
        signal_adu = self.signal_adu(exposure_s, brightness) * (1 + self.drift) ** self.shots
        spread_adu = math.hypot(math.sqrt(signal_adu / self.gain_e_per_adu), 0.005 * signal_adu, 2.0)
        level_adu = converter.bias_adu + signal_adu + self.noise.gauss(0.0, 0.3 + 0.001 * signal_adu)
        clipped_part = 0.5 * math.erfc((converter.clip_adu - level_adu) / spread_adu / math.sqrt(2))
        is_histogram_cut_off = clipped_part > 0.01 or self.hot_pixels
        return FlatTest(
            exposure_s=exposure_s,
            brightness=brightness,
            level_adu=self._converted(level_adu),
            saturated_fraction=clipped_part * (0.5 if self.colours else 1.0),
            noise_adu=0.0 if clipped_part > 0.84 else spread_adu,
            faintest_adu=self._converted(converter.bias_adu + self.faintest_part * (level_adu - converter.bias_adu))
            if self.colours
            else None,
            saturation_adu=converter.clip_adu if is_histogram_cut_off else 65535 - 65535 % converter.step_adu,
        )

    def _converted(self, level_adu: float) -> float:
        step_adu = self.converter.step_adu
        return min(step_adu * round(level_adu / step_adu), self.converter.clip_adu)

    def overall_adu(self, test: FlatTest) -> float:
        """Return the median of all pixels of a frame. For a Bayer array, the median is below the level of green."""
        if not self.colours:
            return test.level_adu
        green_adu = (test.level_adu - self.converter.bias_adu) / max((1.0, *self.colours))
        red, blue = self.colours
        signals = sorted([red, 1.0, 1.0, blue])
        return min(self.converter.bias_adu + green_adu * (signals[1] + signals[2]) / 2, self.converter.clip_adu)

    def is_good(self, test: FlatTest) -> bool:
        """Return True if a frame is a good flat, in which no channel is too bright or (if avoidable) too faint."""
        low, high = self.band
        return low - 1e-3 <= (test.level_adu - self.converter.bias_adu) / self.range_adu <= high + 1e-3

    def reachable(self, margin: float) -> bool:
        """Return True if an allowed setting gives a good flat, inside the band by `margin` of its width.

        If the data clip far below the declared level, an allowed setting must also reach clipping.
        """
        panel, span = self.limits.brightness, self.limits.exposure
        low, high = self.band
        kept = margin * (high - low)
        settings = [None] if panel is None else [panel.dimmest, panel.brightest]
        dim = min(self.signal_adu(span.shortest_s, setting) for setting in settings) / self.range_adu
        bright = max(self.signal_adu(span.longest_s, setting) for setting in settings) / self.range_adu
        return dim <= high - kept and bright >= (1.2 if self.converter.is_hidden else low + kept)


def random_light(seed: int, shape: Shape) -> Light:
    """Return a random case, in which the filter, the camera, the converter, the shutter and the drift vary."""
    rng = random.Random(seed)
    converter = rng.choice(CONVERTERS)
    needed_s = 10 ** rng.uniform(math.log10(0.005), math.log10(20.0))
    mechanical = rng.random() < 0.3
    panels = [
        BrightnessRange(0, 255),
        BrightnessRange(1, 255),
        BrightnessRange(0, 100),
        BrightnessRange(0, 4096),
        BrightnessRange(0, 1000, 10),
    ]
    parameter = {
        Shape.GAMMA: rng.choice([0.5, 0.8, 1.3, 1.8, 2.2]),
        Shape.STEPPED: rng.choice([16, 32, 64, 128]),
        Shape.SATURATING: rng.uniform(0.2, 0.8),
        Shape.GLOWING: rng.uniform(0.01, 0.2),
        Shape.LATE: rng.uniform(0.02, 0.15),
    }.get(shape, 0.0)
    return Light(
        shape=shape,
        parameter=parameter,
        rate_adu_per_s=0.4 * (converter.clip_adu - converter.bias_adu) / needed_s,
        colours=rng.choice([(), (), _white(rng), _white(rng), _narrow(rng)]),
        dead_time_s=rng.uniform(0.0, 0.02) if mechanical else 0.0,
        drift=rng.uniform(-0.01, 0.01),
        converter=converter,
        gain_e_per_adu=rng.uniform(0.2, 2.0) * 65535 / converter.clip_adu,
        hot_pixels=rng.random() < 0.5,
        limits=TuningLimits(
            exposure=ExposureSpan(0.05 if mechanical else 0.0001, 30.0),
            brightness=None if shape is Shape.SWITCHED else rng.choice(panels),
            maximum_tests=MAXIMUM_TESTS,
        ),
        noise=rng,
    )


def _white(rng: random.Random) -> tuple[float, float]:
    """Return red and blue relative to green for a white lamp behind a colour filter array."""
    return rng.uniform(0.4, 0.9), rng.uniform(0.45, 1.2)


def _narrow(rng: random.Random) -> tuple[float, float]:
    """Return red and blue relative to green behind a narrowband filter for one or two emission lines."""
    return rng.uniform(0.1, 4.0), rng.uniform(0.05, 0.9)


def drawn(cases: int, shapes: Sequence[Shape] = WORKING) -> Iterator[Light]:
    """Return random lights with each of the shapes in turn."""
    return (random_light(seed, shapes[seed % len(shapes)]) for seed in range(cases))


def drawn_in_reach(cases: int, shapes: Sequence[Shape] = WORKING) -> Iterator[Light]:
    """Return the random lights for which a good setting exists."""
    return (light for light in drawn(cases, shapes) if light.reachable(0.1))
