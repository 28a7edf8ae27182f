"""Contribution of one set to the study of its camera."""

from coldframe.calibration.camera.photon_transfer import TileSeries
from coldframe.calibration.camera.study import StudiedSet
from coldframe.devices.camera import Frame


def studied_set(
    frame: Frame, sensor_c: float | None, light: tuple[str | None, int | None] | None, series: TileSeries
) -> StudiedSet:
    """Return levels and noise of a set, for the study of the camera.

    Parameters
    ----------
    frame
        One of the set's frames.
    sensor_c
        Their mean temperature, degrees Celsius; None if it is not known.
    light
        Filter and brightness, which identify the light; None for frames without light.
    series
        Measurements of all frames.
    """
    return StudiedSet(frame.camera, frame.settings, frame.kind, frame.exposure_s, sensor_c, light, series.noise())
