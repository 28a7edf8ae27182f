"""Measure `coldframe plan --lights` with 2,000 lights, and the start of commands that only read headers.

Run `python -m benchmarks.planning`. Each figure is the wall time of a whole process; the files are in the page cache.
"cold" has no index of headers, "again" has the index that an earlier run wrote. planning.md lists earlier results.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.machine import machine_line
from coldframe.calibration.files.cards import BLOCK_LENGTH, Card, format_card

LIGHTS = 2000
RUNS = 5
FILTERS = ("L", "R", "G", "B", "Ha", "OIII", "SII")
EXPOSURES_S = (60.0, 180.0, 300.0)
SIDE = 16
"""Width and height of the lights; larger images would not be read either."""

AGE_S = 3600
"""Age that the files pretend to have."""

SETTLED_S = 2.5
"""Time after which the index trusts new files. It also compares the time of the last change, which cannot be set."""

CONFIG = """
[server]
host = "localhost"
[camera]
device = "ZWO CCD ASI2600MM Pro"
gain = 100
offset = 50
setpoint_c = -10.0
[panel]
device = "Flip Flat"
[wheel]
device = "ZWO EFW"
[storage]
folder = "{folder}/nights"
"""

_BEGIN = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)


def write_lights(folder: Path, count: int) -> None:
    """Write lights whose headers have 60 to 100 cards, in the manner of two capture programs."""
    data = np.full((SIDE, SIDE), 500, ">i2").tobytes()
    data += bytes(-len(data) % BLOCK_LENGTH)
    folder.mkdir(parents=True)
    long_ago_s = time.time() - AGE_S
    for number in range(count):
        cards = [*_structure(), *_camera(number), *_mount(number)]
        cards += list(_solution(number)) if number % 2 else []
        header = "".join([*map(format_card, cards), *_comments(), "END".ljust(80)])
        header = header.ljust(-(-len(header) // BLOCK_LENGTH) * BLOCK_LENGTH)
        path = folder / f"M31_Light_{number:05d}.fits"
        path.write_bytes(header.encode("ascii") + data)
        os.utime(path, (long_ago_s, long_ago_s))


def _structure() -> Iterator[Card]:
    yield Card("SIMPLE", value=True, comment="C# FITS")
    yield Card("BITPIX", 16)
    yield Card("NAXIS", 2, "Dimensionality")
    yield Card("NAXIS1", SIDE)
    yield Card("NAXIS2", SIDE)
    yield Card("BZERO", 32768)
    yield Card("EXTEND", value=True, comment="Extensions are permitted")


def _camera(number: int) -> Iterator[Card]:
    exposure_s = EXPOSURES_S[number % len(EXPOSURES_S)]
    taken = _BEGIN + timedelta(seconds=15 * number)
    yield Card("IMAGETYP", "LIGHT", "Type of exposure")
    yield Card("EXPOSURE", exposure_s, "[s] Exposure duration")
    yield Card("EXPTIME", exposure_s, "[s] Exposure duration")
    yield Card("DATE-LOC", f"{taken + timedelta(hours=1):%Y-%m-%dT%H:%M:%S}.125", "Time of observation (local)")
    yield Card("DATE-OBS", f"{taken:%Y-%m-%dT%H:%M:%S}.125", "Time of observation (UTC)")
    yield Card("XBINNING", 1, "X axis binning factor")
    yield Card("YBINNING", 1, "Y axis binning factor")
    yield Card("GAIN", 100, "Sensor gain")
    yield Card("OFFSET", 50, "Sensor gain offset")
    yield Card("EGAIN", 0.2458, "[e-/ADU] Electrons per A/D unit")
    yield Card("XPIXSZ", 3.76, "[um] Pixel X axis size")
    yield Card("YPIXSZ", 3.76, "[um] Pixel Y axis size")
    yield Card("INSTRUME", "ZWO CCD ASI2600MM Pro", "Imaging instrument name")
    yield Card("SET-TEMP", -10.0, "[degC] CCD temperature setpoint")
    yield Card("CCD-TEMP", -10.0 + 0.1 * (number % 3 - 1), "[degC] CCD temperature")
    yield Card("READOUTM", "High Gain Mode", "Sensor readout mode")
    yield Card("USBLIMIT", 40, "Camera-specific USB setting")
    yield Card("FWHEEL", "ZWO EFW", "Filter Wheel name")
    yield Card("FILTER", FILTERS[number * len(FILTERS) // LIGHTS % len(FILTERS)], "Active filter name")
    yield Card("ROWORDER", "TOP-DOWN", "FITS Image Orientation")
    yield Card("SWCREATE", "N.I.N.A. 3.1.2.9001 (x64)", "Software that created this file")


def _mount(number: int) -> Iterator[Card]:
    yield Card("TELESCOP", "FRA400", "Name of telescope")
    yield Card("FOCALLEN", 400.0, "[mm] Focal length")
    yield Card("FOCRATIO", 5.6, "Focal ratio")
    yield Card("RA", 10.6847 + 1e-5 * number, "[deg] RA of telescope")
    yield Card("DEC", 41.2687, "[deg] Declination of telescope")
    yield Card("CENTALT", 60.1 - 0.01 * number, "[deg] Altitude of telescope")
    yield Card("CENTAZ", 120.5 + 0.01 * number, "[deg] Azimuth of telescope")
    yield Card("AIRMASS", 1.15, "Airmass at frame center (Gueymard 1993)")
    yield Card("PIERSIDE", "West", "Telescope pointing state")
    yield Card("SITEELEV", 420.0, "[m] Observation site elevation")
    yield Card("SITELAT", 48.137, "[deg] Observation site latitude")
    yield Card("SITELONG", 11.575, "[deg] Observation site longitude")
    yield Card("FOCNAME", "ZWO Focuser (1)", "Focusing equipment name")
    yield Card("FOCPOS", 12345 + number % 40, "[step] Focuser position")
    yield Card("FOCUSPOS", 12345 + number % 40, "[step] Focuser position")
    yield Card("FOCUSSZ", 2.4, "[um] Focuser step size")
    yield Card("FOCTEMP", 4.5 - 0.001 * number, "[degC] Focuser temperature")
    yield Card("FOCUSTEM", 4.5 - 0.001 * number, "[degC] Focuser temperature")
    yield Card("OBJECT", "M 31", "Name of the object of interest")
    yield Card("OBJCTRA", "00 42 44", "[H M S] RA of imaged object")
    yield Card("OBJCTDEC", "+41 16 07", "[D M S] Declination of imaged object")
    yield Card("OBJCTROT", 90.0, "[deg] planned rotation of imaged object")
    yield Card("CLOUDCVR", 0.0, "[percent] Cloud cover")
    yield Card("DEWPOINT", 1.2, "[degC] Dew point")
    yield Card("HUMIDITY", 71.0, "[percent] Relative humidity")
    yield Card("PRESSURE", 972.0, "[hPa] Air pressure")
    yield Card("AMBTEMP", 5.1, "[degC] Ambient air temperature")
    yield Card("WINDSPD", 3.5, "[kph] Wind speed")
    yield Card("EQUINOX", 2000.0, "Equinox of celestial coordinate system")


def _solution(number: int) -> Iterator[Card]:
    """Yield the cards of a plate solution with distortion."""
    yield Card("CTYPE1", "RA---TAN-SIP", "1st coordinate type")
    yield Card("CTYPE2", "DEC--TAN-SIP", "2nd coordinate type")
    yield Card("CRVAL1", 10.6847 + 1e-7 * number, "[deg] RA at the reference pixel")
    yield Card("CRVAL2", 41.2687 - 1e-7 * number, "[deg] declination at the reference pixel")
    for axis in (1, 2):
        yield Card(f"CRPIX{axis}", 3124.5, "reference pixel")
        yield Card(f"CDELT{axis}", 5.3871e-4, "[deg] size of a pixel")
        yield Card(f"CROTA{axis}", 89.73, "[deg] rotation")
    for row, column in ((1, 1), (1, 2), (2, 1), (2, 2)):
        yield Card(f"CD{row}_{column}", -5.38e-4 + 1e-9 * number, "transformation matrix")
    for name in ("A", "B", "AP", "BP"):
        yield Card(f"{name}_ORDER", 2, "order of the polynomial")
        for first, second in ((0, 2), (1, 1), (2, 0)):
            yield Card(f"{name}_{first}_{second}", 1.2345e-7 * (number % 9 + 1), "coefficient of the polynomial")


def _comments() -> Iterator[str]:
    yield "COMMENT  Captured on the first clear night of November".ljust(80)
    yield "HISTORY  guided with an off-axis guider".ljust(80)


def seconds_of(command: list[str], environment: Mapping[str, str]) -> float:
    """Return the wall time of a process, which may keep its compiled modules as an installed coldframe does."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    begin = time.perf_counter()
    subprocess.run(command, env={**variables, **environment}, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def _report(title: str, seconds: list[float]) -> None:
    print(f"{title:<44} median {median(seconds):6.3f} s   least {min(seconds):6.3f} s", flush=True)


def measure(folder: Path) -> None:
    """Print the times of the commands."""
    lights, config = folder / "lights", folder / "coldframe.toml"
    write_lights(lights, LIGHTS)
    config.write_text(CONFIG.format(folder=folder))
    time.sleep(SETTLED_S)
    coldframe = [sys.executable, "-m", "coldframe"]
    caches = {"XDG_CACHE_HOME": str(folder / "first")}
    plan = [*coldframe, "plan", "--config", str(config), "--lights", str(lights)]
    seconds_of(plan, caches)  # fill the page cache, and let Python compile its files
    cold = [seconds_of(plan, {"XDG_CACHE_HOME": str(folder / f"cold-{run}")}) for run in range(RUNS)]
    again = [seconds_of(plan, caches) for _ in range(RUNS)]
    one_light = [seconds_of([*plan[:-2], "--lights", str(_one_light(folder))], caches) for _ in range(RUNS)]
    _report(f"plan --lights, {LIGHTS} lights, cold", cold)
    _report(f"plan --lights, {LIGHTS} lights, again", again)
    _report("plan --lights, 1 light", one_light)
    _report("--help", [seconds_of([*coldframe, "--help"], {}) for _ in range(RUNS)])
    _report("python -c pass", [seconds_of([sys.executable, "-c", "pass"], {}) for _ in range(RUNS)])
    _report("python -c 'import numpy'", [seconds_of([sys.executable, "-c", "import numpy"], {}) for _ in range(RUNS)])


def _one_light(folder: Path) -> Path:
    if not (folder / "one").exists():
        write_lights(folder / "one", 1)
    return folder / "one"


def main() -> None:
    """Measure in a temporary folder."""
    print(f"{machine_line()}\n")
    with TemporaryDirectory(prefix="coldframe-bench-") as name:
        measure(Path(name))


if __name__ == "__main__":
    main()
