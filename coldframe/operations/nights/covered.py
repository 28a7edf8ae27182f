"""Find out whether the user must cover the telescope before the first dark."""

from coldframe.config.frames import FrameKind
from coldframe.config.settings import Settings
from coldframe.devices.rig import Rig

UNCOVERED = (
    "coldframe cannot close a cover on this telescope: it must be covered for bias frames and darks, with its cap or "
    "with the unlit panel"
)


def must_be_covered(settings: Settings, rig: Rig) -> bool:
    """Return True if frames of the night need a covered telescope, and no device of the rig can cover it."""
    return rig.covering is None and any(each.kind is not FrameKind.FLAT for each in settings.sets)
