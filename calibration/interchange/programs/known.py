"""All programs whose rules are known."""

from coldframe.calibration.interchange.programs.app import APP
from coldframe.calibration.interchange.programs.dss import DSS
from coldframe.calibration.interchange.programs.model import Program, Version
from coldframe.calibration.interchange.programs.siril import SIRIL_1_2, SIRIL_1_4
from coldframe.calibration.interchange.programs.wbpp import WBPP
from coldframe.errors import ColdframeError

PROGRAMS: tuple[Program, ...] = (SIRIL_1_2, SIRIL_1_4, WBPP, DSS, APP)


class UnknownVersionError(ColdframeError):
    """The rules of a version are unknown; the message states the first version whose rules are known."""


def program_of(name: str, version: str | None = None) -> Program:
    """Return the rules for a version of a program; if no version is given, for the newest known version.

    Raises
    ------
    UnknownVersionError
        If `version` is older than all known versions, or is not a version number.
    """
    known = sorted((each for each in PROGRAMS if each.name == name), key=lambda each: each.since)
    if version is None:
        return known[-1]
    wanted = _parts(version)
    fitting = [each for each in known if wanted is not None and each.since <= wanted]
    if not fitting:
        oldest = ".".join(map(str, known[0].since))
        raise UnknownVersionError(
            f"version {version} is unknown; the rules of {known[0].title} are known from version {oldest} on"
        )
    return fitting[-1]


def _parts(version: str) -> Version | None:
    parts = version.split(".")
    return tuple(int(part) for part in parts) if all(part.isdecimal() and part.isascii() for part in parts) else None
