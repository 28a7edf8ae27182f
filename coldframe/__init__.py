"""Unattended end-of-night calibration frames for INDI rigs.

The names in `__all__` are the public Python API; see docs/api.md. They are imported when they are first used, so that
the command line starts quickly.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coldframe.api.calibrating import Calibrated, CalibratedLight, calibrate
    from coldframe.api.collected import LeftOut, NothingDoneError
    from coldframe.api.combining import Combined, combine
    from coldframe.api.diagnosing import Diagnosis, Finding, diagnose
    from coldframe.api.frames import Frame, Master, Setup, read_frame, read_master
    from coldframe.api.library import Library, LibraryMaster, Match
    from coldframe.api.nights import NightResult, run_night, run_night_async
    from coldframe.errors import ColdframeError
    from coldframe.operations.nights.running import RigNotSafeError
    from coldframe.version import __version__

__all__ = [
    "Calibrated",
    "CalibratedLight",
    "ColdframeError",
    "Combined",
    "Diagnosis",
    "Finding",
    "Frame",
    "LeftOut",
    "Library",
    "LibraryMaster",
    "Master",
    "Match",
    "NightResult",
    "NothingDoneError",
    "RigNotSafeError",
    "Setup",
    "__version__",
    "calibrate",
    "combine",
    "diagnose",
    "read_frame",
    "read_master",
    "run_night",
    "run_night_async",
]

_MODULES = {
    "coldframe.api.calibrating": ("Calibrated", "CalibratedLight", "calibrate"),
    "coldframe.api.collected": ("LeftOut", "NothingDoneError"),
    "coldframe.api.combining": ("Combined", "combine"),
    "coldframe.api.diagnosing": ("Diagnosis", "Finding", "diagnose"),
    "coldframe.api.frames": ("Frame", "Master", "Setup", "read_frame", "read_master"),
    "coldframe.api.library": ("Library", "LibraryMaster", "Match"),
    "coldframe.api.nights": ("NightResult", "run_night", "run_night_async"),
    "coldframe.errors": ("ColdframeError",),
    "coldframe.operations.nights.running": ("RigNotSafeError",),
    "coldframe.version": ("__version__",),
}
"""The public names, by the module that defines them."""


if not TYPE_CHECKING:  # type checkers would otherwise accept any name

    def __getattr__(name: str) -> object:
        for module, names in _MODULES.items():
            if name in names:
                globals()[name] = value = getattr(import_module(module), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
