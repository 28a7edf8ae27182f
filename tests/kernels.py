"""Compile the kernels that most tests need, and cache their machine code: ``python -m tests.kernels``.

`make test` runs this first, on a core that the checks leave idle. Otherwise, each process of the tests would compile
them.
"""

import logging
from pathlib import Path
from tempfile import TemporaryDirectory

import coldframe
from coldframe.calibration.library.library import Library
from tests.calibration.diagnosis import nights
from tests.nights.replay import play


def run_commands() -> None:
    """Run a night on a simulated rig, and calibrate and diagnose simulated lights."""
    play(0)
    with TemporaryDirectory(prefix="coldframe-kernels-") as scratch:
        folder = Path(scratch)
        simulated = nights.simulate(nights.draw(7, size=(256, 384), lights=5, program="nina"), None)
        lights, masters = nights.write(simulated, folder / "night")
        library = Library(folder / "library")
        for master in masters:
            library.file(master)
        coldframe.calibrate(lights[0].parent, folder / "calibrated", library=library.folder)
        coldframe.diagnose(lights[0].parent, library=library.folder)


if __name__ == "__main__":
    logging.disable()
    run_commands()
