"""Make the pictures of the guide to the diagnosis: `python docs/make_gallery.py`.

Each picture is the calibrated background of a simulated night with one fault, strongly stretched. The nights are those
by which the tests judge the diagnosis.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coldframe.capture.monitoring.report.contents import Stretch
from coldframe.capture.monitoring.report.pixels import stretched
from coldframe.capture.monitoring.report.png import png_bytes
from coldframe.cli.diagnosing.pictures import SetPictures, block_means
from tests.calibration.diagnosis import faults, nights
from tests.calibration.diagnosis.faults import Fault

PICTURES = Path(__file__).parent / "pictures" / "gallery"

LARGEST_BYTES = 40_000
WIDTHS = (320, 288, 256, 224, 192, 160)
"""Widths of a picture, pixels; the largest one that is small enough as a file is used."""

GREYS = 32
PERCENT = 0.3, 99.0
DETAIL = 104, 144
"""Height and width of details, pixels."""

ENLARGED = 2

SEED = 11
NIGHT: dict[str, Any] = {
    "lights": 12,
    "nebula_fill": 0.0,
    "trails": 0,
    "clouded": 0,
    "moon": 0.0,
    "gradient": 0.01,
    "glow_adu": 80.0,
    "vignetting": 0.25,
    "sky_adu": 500.0,
    "stars": 200,
}


@dataclass(frozen=True)
class Example:
    """A picture of the gallery.

    Attributes
    ----------
    name
        Name of the file.
    fault
        The fault of the night.
    detail_sigma
        Largest deviation from the sky, in standard deviations of the noise, in a picture of the centre; None shows the
        whole field.
    changes
        Properties of the night.
    """

    name: str
    fault: Fault
    detail_sigma: float | None = None
    changes: dict[str, Any] = field(default_factory=dict)


EXAMPLES = (
    Example("clean", faults.none()),
    Example("dust", faults.dust_shift_px(10, angle_deg=-60)),
    Example("overcorrection", faults.unsubtracted_flat(), changes={"flat_adu": 6000.0}),
    Example("banding", faults.fixed_rows(6), detail_sigma=3),
    Example("amp-glow", faults.glow(0.6)),
    Example("colour", faults.colour(0.08, form="bowl"), changes={"mosaic": "RGGB"}),
    Example("gradient", faults.uneven_flat(0.08)),
    Example("offset", faults.offset_adu(-200)),
    Example("temperature", faults.dark_temperature_c(-4), detail_sigma=10, changes={"hot_fraction": 0.02}),
    Example("masters", faults.dew(0.05)),
)


def main() -> None:
    """Make all pictures."""
    PICTURES.mkdir(exist_ok=True)
    for example in EXAMPLES:
        simulated = nights.simulate(nights.draw(SEED, **NIGHT | example.changes), example.fault)
        content = _picture(example, list(nights.calibrated(simulated)), simulated.night.mosaic)
        (PICTURES / f"{example.name}.png").write_bytes(content)
        print(example.name, len(content))


def _picture(example: Example, signals: list[NDArray[np.float32]], mosaic: str | None) -> bytes:
    if example.detail_sigma is not None:
        return _detail(signals, example.detail_sigma)
    seen = SetPictures(mosaic)
    for signal in signals:
        seen.watch(signal, signal)
    return _within_limit(seen.background_adu)


def _detail(signals: list[NDArray[np.float32]], sigma: float) -> bytes:
    """Return the centre of the median of some lights as an enlarged PNG."""
    height, width = signals[0].shape
    top, left = (height - DETAIL[0]) // 2, (width - DETAIL[1]) // 2
    stack = np.median([signal[top : top + DETAIL[0], left : left + DETAIL[1]] for signal in signals], axis=0)
    sky = float(np.median(stack))
    reach = sigma * 1.4826 * float(np.median(np.abs(stack - sky)))
    grey = stretched(stack.astype(np.float64), Stretch(sky - reach, sky + reach), GREYS)
    return png_bytes(grey.repeat(ENLARGED, axis=0).repeat(ENLARGED, axis=1))


def _within_limit(means: NDArray[np.floating]) -> bytes:
    """Return the largest PNG of a plane, or of three colours, that is small enough."""
    planes = [means] if means.ndim == 2 else [means[..., colour] for colour in range(3)]  # noqa: PLR2004 - grey
    for width in WIDTHS:
        side = max(-(-means.shape[1] // width), 1)
        shrunk = [block_means(np.asarray(plane, np.float32), side) for plane in planes]
        limits = [np.percentile(plane, PERCENT) for plane in shrunk]
        grey = [
            stretched(plane.astype(np.float64), Stretch(float(low), float(high)), GREYS)
            for plane, (low, high) in zip(shrunk, limits, strict=True)
        ]
        content = png_bytes(grey[0] if len(grey) == 1 else np.stack(grey, axis=-1))
        if len(content) <= LARGEST_BYTES:
            break
    return content


if __name__ == "__main__":
    main()
