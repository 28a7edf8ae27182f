"""How high a dark may lie, by the dark current of earlier nights: light that never changes is above it. Pure."""

from coldframe.calibration.camera.record import CameraRecord

SAME_TEMPERATURE_C = 1.0
"""Dark current changes by an eighth in a degree."""

MOST_TIMES = 3.0
"""By so much a sensor's dark current does not grow between two nights."""

MARGIN_ADU = 50.0
"""Bias levels drift, glow is not everywhere the same; a panel that is lit gives as much within a second."""


def dark_ceiling_adu(record: CameraRecord, bias_adu: float, setpoint_c: float, exposure_s: float) -> float | None:
    """Return the highest level that a dark can have; None where earlier nights tell nothing of this temperature.

    Parameters
    ----------
    record
        What is known of the camera with these settings.
    bias_adu
        Level of tonight's bias.
    setpoint_c, exposure_s
        Of the dark.
    """
    near = [each for each in record.dark_current if abs(each.sensor_c - setpoint_c) <= SAME_TEMPERATURE_C]
    if not near or record.e_per_adu is None:
        return None
    highest_e_per_s = max(max(each.e_per_s, 0.0) + 3 * each.error for each in near)
    return bias_adu + MOST_TIMES * highest_e_per_s * exposure_s / record.e_per_adu.value + MARGIN_ADU
