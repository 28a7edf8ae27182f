"""Judge the noise of each master, in words, by how much it increases the noise of a light."""

from collections.abc import Sequence
from math import hypot, isfinite

from coldframe.capture.monitoring.progress.quantities import exposure_text
from coldframe.capture.monitoring.report.contents import CameraReport, LightsReport, MasterReport, SetReport
from coldframe.config.frames import FrameKind

GOOD, ACCEPTABLE = 0.01, 0.03
"""Largest relative increase in a light's noise that counts as good, and the largest that counts as acceptable."""

_SAME_EXPOSURE = 0.01


def judgement_of(
    made: SetReport, master: MasterReport, lights: Sequence[LightsReport], cameras: Sequence[CameraReport]
) -> str:
    """Return a verdict on a master's noise, such as "good: noise 1.4 ADU adds 0.3 % to a 300 s light".

    Parameters
    ----------
    made, master
        The set and its master.
    lights
        The diagnosed lights, whose noise and sky level are known.
    cameras
        The measured cameras. If no light with the exposure of a dark is known, the dark is judged against the read
        noise, which is the smallest noise that a light can have.

    Returns
    -------
    str
        The verdict; empty if the master is not applied to lights, or if the noise of a light is unknown.
    """
    if not (isfinite(master.noise) and master.noise > 0):
        return ""
    if made.kind is FrameKind.FLAT:
        return _of_flat(made, master, lights)
    if made.kind is not FrameKind.DARK or made.exposure_s is None:
        return ""
    of_same_exposure = [each for each in lights if _is_close(each.exposure_s, made.exposure_s)]
    noise_adu = min((each.noise_adu for each in of_same_exposure if each.noise_adu), default=None)
    if noise_adu is not None:
        light = f"a {exposure_text(made.exposure_s)} light"
        return _words(f"{master.noise:.3g} ADU", hypot(1, master.noise / noise_adu) - 1, f"to {light}")
    read_noise_adu = next(filter(None, map(_read_noise_adu, cameras)), None)
    if read_noise_adu is None:
        return ""
    return _words(f"{master.noise:.3g} ADU", hypot(1, master.noise / read_noise_adu) - 1, "at most to a light")


def _of_flat(made: SetReport, master: MasterReport, lights: Sequence[LightsReport]) -> str:
    """Judge the noise that a flat adds to lights with the same filter, using the lights to which it adds most noise."""
    added = [
        (hypot(1, master.noise * each.sky_adu / each.noise_adu) - 1, each)
        for each in lights
        if each.filter == made.filter and each.sky_adu and each.noise_adu and each.exposure_s
    ]
    if not added:
        return ""
    most, light = max(added, key=lambda each: each[0])
    assert light.exposure_s is not None
    name = " ".join(filter(None, [exposure_text(light.exposure_s), light.filter, "light"]))
    return _words(f"{100 * master.noise:.2g} %", most, f"to a {name}")


def _words(noise: str, added: float, where: str) -> str:
    verdict = "good" if added <= GOOD else "acceptable" if added <= ACCEPTABLE else "weak"
    advice = "; more frames would help" if added > ACCEPTABLE else ""
    return f"{verdict}: noise {noise} adds {100 * added:.2g} % {where}{advice}"


def _read_noise_adu(camera: CameraReport) -> float | None:
    if not camera.read_noise_e or not camera.e_per_adu or not camera.e_per_adu > 0:
        return None
    return camera.read_noise_e / camera.e_per_adu


def _is_close(one: float | None, other: float) -> bool:
    return one is not None and abs(one - other) <= _SAME_EXPOSURE * other
