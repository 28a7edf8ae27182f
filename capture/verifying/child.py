"""Diagnose frames in a separate process, which reads a request from its input and writes the result to its output."""

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from coldframe.calibration.diagnosis.files import diagnose_set, light_source
from coldframe.calibration.diagnosis.findings import Finding, Kind
from coldframe.calibration.diagnosis.held_out import examine_flats, held_out_findings
from coldframe.calibration.diagnosis.remedies import remedy_for
from coldframe.calibration.diagnosis.remedy import Remedy
from coldframe.calibration.files.raws.frames import read_night_pixels
from coldframe.calibration.frames.setup import setup_of
from coldframe.calibration.lights.recipe import LightRecipe, treatments
from coldframe.calibration.masters.reading import read_master, read_master_header
from coldframe.capture.events.verification import Cleanness

LEAST_PRIORITY = 19
FIRST_TO_END = "1000"
"""Value of `oom_score_adj` with which the kernel ends this process first if memory runs out."""

ESSENTIAL = {Kind.DUST, Kind.OVERCORRECTION, Kind.OFFSET, Kind.TEMPERATURE}
_ENOUGH = 2


def main() -> None:
    """Read a request, diagnose the frames, and write the result."""
    request = json.load(sys.stdin)
    stand_back(request["deadline_s"])
    json.dump(result_of(request), sys.stdout)


def stand_back(deadline_s: float) -> None:
    """Give this process the lowest priority, and end it at the deadline even if its parent has died."""
    os.nice(LEAST_PRIORITY)
    signal.alarm(int(deadline_s) + 1)
    with suppress(OSError):  # another operating system
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_END, "ascii")


def result_of(request: Mapping[str, Any]) -> dict[str, object]:
    """Return the result as a JSON object, with those fields of `LightsVerified` that the diagnosis determines."""
    paths = [Path(path) for path in request["frames"]]
    masters = {kind: Path(path) for kind, path in request["masters"].items()}
    return _flats(paths, masters) if request["are_flats"] else _lights(paths, masters)


def _lights(paths: Sequence[Path], masters: Mapping[str, Path]) -> dict[str, object]:
    lights = [light_source(path) for path in paths]
    setup = treatments(lights[0].setup, [setup_of(read_master_header(path)) for path in masters.values()])[0]
    recipe = LightRecipe(
        masters["dark"], masters.get("bias"), masters["flat"], overscan=setup.overscan, mosaic=setup.mosaic
    )
    found = diagnose_set(lights, recipe)
    diagnosis = found.diagnosis
    artifacts = [
        _artifact(finding, *remedy_for(finding, found.examined)) for finding in diagnosis.findings if finding.matters
    ]
    is_telling = len(ESSENTIAL & set(diagnosis.seen_down_to)) >= _ENOUGH
    cleanness = Cleanness.FAULTY if artifacts else Cleanness.CLEAN if is_telling else Cleanness.UNKNOWN
    levels = {"sky_adu": found.examined.sky_adu, "noise_adu": found.examined.noise_adu}
    known = {name: value for name, value in levels.items() if isfinite(value)}
    return {"count": diagnosis.lights, "cleanness": cleanness, "artifacts": artifacts, **known}


def _flats(paths: Sequence[Path], masters: Mapping[str, Path]) -> dict[str, object]:
    master, subtracted = read_master(masters["flat"]).mean, read_master(masters["dark"]).mean
    flats = [read_night_pixels(path).astype(np.float32) for path in paths]
    if any(flat.shape != master.shape for flat in flats):
        return {"count": len(flats), "cleanness": Cleanness.UNKNOWN, "artifacts": []}
    found = examine_flats(flats, subtracted, master)
    if found is None:
        return {"count": len(flats), "cleanness": Cleanness.UNKNOWN, "artifacts": []}
    remedies = {Kind.OVERCORRECTION: Remedy.DARK_FLATS}
    artifacts = [
        _artifact(finding, remedies.get(finding.kind, Remedy.NEW_FLATS), None) for finding in held_out_findings(found)
    ]
    return {
        "count": found.flats,
        "cleanness": Cleanness.FAULTY if artifacts else Cleanness.CLEAN,
        "artifacts": artifacts,
    }


def _artifact(finding: Finding, remedy: Remedy, frames: int | None) -> dict[str, object]:
    names = ("kind", "cause", "size", "unit", "error", "significance", "evidence", "fix")
    values = {name: getattr(finding, name) for name in names}
    finite = {name: None if value in (float("inf"), float("-inf")) else value for name, value in values.items()}
    return {**finite, "remedy": remedy, "frames": frames}


if __name__ == "__main__":
    main()
