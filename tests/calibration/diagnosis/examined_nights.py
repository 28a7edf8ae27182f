"""Diagnoses of simulated nights, as `coldframe diagnose` makes them, but without files."""

import numpy as np

from coldframe.calibration.diagnosis.diagnosing import diagnose
from coldframe.calibration.diagnosis.estimating.thinned_masters import thinned_masters
from coldframe.calibration.diagnosis.examination import Examination, examine
from coldframe.calibration.diagnosis.findings import Diagnosis
from coldframe.calibration.frames.setup import setup_of
from coldframe.calibration.lights.arithmetic import correction, dark_subtraction, scaled_subtraction
from tests.calibration.diagnosis.faults import Fault
from tests.calibration.diagnosis.nights import Night, Simulated, simulate


def examined(simulated: Simulated) -> Examination:
    """Examine the lights of a simulated night."""
    masters = simulated.masters
    dark = (
        dark_subtraction(masters.dark)
        if masters.dark_scale == 1
        else scaled_subtraction(masters.bias, masters.dark, masters.dark_scale, despite_glow=True)
    )
    planes = correction(dark, masters.flat)
    period = 2 if simulated.night.mosaic else 1
    thinned = thinned_masters(
        planes, masters.dark, masters.bias, masters.flat, period=period, dark_scale=masters.dark_scale
    )
    height, width = simulated.night.size
    header = simulated.headers[0]
    stated = header.get("EGAIN")
    return examine(
        (((light - planes.subtracted) / planes.response).astype(np.float32) for light in simulated.lights),
        setup_of({**header, "NAXIS1": width, "NAXIS2": height}),
        thinned,
        float(stated) if isinstance(stated, int | float) else None,
        period,
    )


def diagnosed(night: Night, fault: Fault) -> Diagnosis:
    """Simulate a night with a fault and diagnose its lights."""
    return diagnose(examined(simulate(night, fault)))
