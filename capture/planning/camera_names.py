"""One name for a camera that drivers and capture programs name differently. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from coldframe.calibration.frames.setup import FrameSetup
from coldframe.capture.planning.read_lights import is_same_camera


def under_one_name(setup: FrameSetup, camera_names: Sequence[str]) -> FrameSetup:
    """Return a setup with the first of a camera's names if its header has any of them; see `is_same_camera`.

    Parameters
    ----------
    setup
        Setup of a frame or a master of any program.
    camera_names
        The driver's name of the camera and its configured aliases; may be empty.
    """
    if setup.camera is None or not any(is_same_camera(setup.camera, name) for name in camera_names):
        return setup
    return replace(setup, camera=camera_names[0])
