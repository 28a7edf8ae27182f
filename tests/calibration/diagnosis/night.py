"""What a simulated night is like: all that is drawn from its seed before any pixel is."""

from dataclasses import dataclass, replace
from typing import Any

from tests.calibration.diagnosis.headers import PROGRAMS
from tests.calibration.diagnosis.sky import stream


@dataclass(frozen=True)
class Night:
    """A night with one camera, one filter and one target; see `draw` for the ranges.

    Attributes
    ----------
    seed
        Seed of all random numbers.
    lights
        Number of lights.
    size
        Height and width, even numbers.
    mosaic
        "RGGB", or None for mono.
    program
        The capture program whose headers the frames have.
    exposure_s, flat_exposure_s
        Exposures of lights and flats.
    sensor_c, temperature_drift_c
        Temperature of the sensor, and its rise from the first light to the last.
    doubling_c
        Degrees over which the dark current doubles.
    gain, e_per_adu, egain_error
        Setting, electrons per ADU, and the relative error of EGAIN in the headers.
    read_noise_adu, row_noise_adu, jitter_adu
        Noise of a pixel, of the level of a row, and of the level of a frame.
    bias_adu, bias_pixel_adu, bias_line_adu
        Level, and scatter of fixed differences between pixels and between columns (rows: half as much).
    current_adu
        Dark current of ordinary pixels in a light.
    hot_fraction, flickering
        Fraction of pixels that are hot, and fraction of the hot ones that flicker.
    glow_adu
        Peak of the glow in a light.
    response_scatter, response_correlation
        Scatter of the pixels' response, and its correlation between the colours of sky and flats.
    vignetting
        Loss of light in the corners.
    filter_motes, sensor_motes, obstruction
        Numbers of motes, and the inner diameter of their shadows divided by the outer one.
    flat_adu
        Level of the flats above their dark.
    darks, flats, dark_flats, biases
        Numbers of frames in the masters.
    sky_adu, sky_drift, gradient, gradient_deg, gradient_turn_deg
        Level in the middle of the night, its relative change, and the gradient (fraction of the level, end to end),
        its direction and how far it turns.
    moon, moon_deg
        Moonlight as a fraction of the sky, which rises during the night, and the direction of its own gradient.
    nebula_fill, nebula_adu, filaments
        Fraction of the field that is not empty, brightness, and part of the light in filaments.
    dither_px, flip
        Rms of the dithers along each axis, and True for a meridian flip in the middle of the night.
    stars, fwhm_px
        Number of stars in the field, and their width.
    clouded, trails
        Number of lights with a thin cloud, and of trails in the night.
    focus, rotation_deg
        Focuser and rotator in the headers.
    """

    seed: int
    lights: int = 12
    size: tuple[int, int] = (700, 1000)
    mosaic: str | None = None
    program: str = "nina"
    exposure_s: float = 180.0
    flat_exposure_s: float = 2.0
    sensor_c: float = -10.0
    temperature_drift_c: float = 0.0
    doubling_c: float = 6.0
    gain: int = 100
    e_per_adu: float = 0.8
    egain_error: float = 0.0
    read_noise_adu: float = 3.75
    row_noise_adu: float = 0.1
    jitter_adu: float = 0.1
    bias_adu: float = 500.0
    bias_pixel_adu: float = 1.0
    bias_line_adu: float = 0.15
    current_adu: float = 3.0
    hot_fraction: float = 0.0024
    flickering: float = 0.02
    glow_adu: float = 60.0
    response_scatter: float = 0.006
    response_correlation: float = 1.0
    vignetting: float = 0.2
    filter_motes: int = 12
    sensor_motes: int = 12
    obstruction: float = 0.35
    flat_adu: float = 25_000.0
    darks: int = 30
    flats: int = 30
    dark_flats: int = 30
    biases: int = 60
    sky_adu: float = 500.0
    sky_drift: float = 0.2
    gradient: float = 0.05
    gradient_deg: float = 40.0
    gradient_turn_deg: float = 45.0
    moon: float = 0.0
    moon_deg: float = 0.0
    nebula_fill: float = 0.3
    nebula_adu: float = 80.0
    filaments: float = 0.5
    dither_px: float = 12.0
    flip: bool = False
    stars: int = 500
    fwhm_px: float = 3.0
    clouded: int = 0
    trails: int = 1
    focus: int = 8512
    rotation_deg: float = 12.3

    @property
    def noise_adu(self) -> float:
        """Noise of a pixel of a light in the middle of the night, ADU: the unit s of the limits in the design."""
        return float((self.sky_adu * (1 + self.moon / 2) / self.e_per_adu + self.read_noise_adu**2) ** 0.5)

    @property
    def filter_name(self) -> str | None:
        """Name of the filter; None for a colour camera."""
        return "L" if self.mosaic is None else None

    @property
    def offset(self) -> int:
        """Offset in the driver's units, ten ADU each."""
        return round(self.bias_adu / 10)


def draw(seed: int, **changes: Any) -> Night:
    """Return a night drawn from a seed, with some of its properties replaced.

    A property keeps its value if others are replaced. Three nights in ten have no nebula, three a meridian flip, three
    moonlight, two a light with thin cloud, and half of them satellites' trails.
    """
    random = stream(seed, "night")
    uniform = random.uniform

    def log(low: float, high: float) -> float:
        return float(low * (high / low) ** random.uniform())

    night = Night(
        seed,
        program=str(random.choice(PROGRAMS, p=[0.7, 0.2, 0.1])),
        exposure_s=float(random.choice([120.0, 180.0, 300.0])),
        flat_exposure_s=round(log(0.5, 5), 2),
        doubling_c=uniform(5.8, 6.2),
        e_per_adu=round(uniform(0.7, 0.9), 3),
        read_noise_adu=uniform(3.0, 4.5),
        row_noise_adu=uniform(0, 0.25),
        jitter_adu=uniform(0, 0.2),
        bias_adu=10.0 * int(random.integers(30, 70)),
        bias_pixel_adu=uniform(0.4, 1.5),
        bias_line_adu=uniform(0.05, 0.3),
        current_adu=log(0.5, 8),
        hot_fraction=log(0.0015, 0.004),
        flickering=uniform(0.005, 0.04),
        glow_adu=float(random.choice([0.0, 1.0], p=[0.2, 0.8])) * uniform(20, 100),
        response_scatter=uniform(0.005, 0.008),
        response_correlation=1 - uniform(0, 0.006),
        vignetting=uniform(0.08, 0.35),
        filter_motes=int(random.integers(5, 20)),
        sensor_motes=int(random.integers(5, 25)),
        obstruction=float(random.choice([0.0, uniform(0.25, 0.5)], p=[0.3, 0.7])),
        flat_adu=uniform(22_000, 30_000),
        darks=int(random.integers(25, 41)),
        flats=int(random.integers(25, 41)),
        dark_flats=int(random.integers(25, 41)),
        biases=int(random.integers(50, 101)),
        sky_adu=log(250, 1000),
        sky_drift=float(random.choice([-1, 1])) * uniform(0.1, 0.4),
        gradient=log(0.01, 0.1),
        gradient_deg=uniform(0, 360),
        gradient_turn_deg=float(random.choice([-1, 1])) * uniform(25, 70),
        moon=float(random.random() < 0.3) * uniform(0.1, 1.0),
        moon_deg=uniform(0, 360),
        nebula_fill=float(random.random() < 0.7) * uniform(0, 1),
        nebula_adu=log(30, 200),
        filaments=uniform(0, 1),
        dither_px=uniform(8, 25),
        flip=bool(random.random() < 0.3),
        stars=int(log(150, 1500)),
        fwhm_px=uniform(2, 5),
        clouded=int(random.random() < 0.2),
        trails=int(random.choice([0, 1, 2, 3], p=[0.5, 0.25, 0.15, 0.1])),
        focus=int(random.integers(4000, 12_000)),
        rotation_deg=round(uniform(0, 359), 1),
    )
    return replace(night, **changes)
