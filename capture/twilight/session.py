"""Shoot twilight flats, then dark flats that cover the range of the flats' exposures, and make the masters."""

from dataclasses import dataclass, field

from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.frames.overscan import Overscan
from coldframe.calibration.masters.dark_ladder import DarkLadder, Rung, rung_exposures_s
from coldframe.calibration.masters.flat_scaling import NoSignalError
from coldframe.capture.flats.learned import LearnedFlats
from coldframe.capture.pipeline.making_master import publish_and_file, save_master
from coldframe.capture.session.context import NightContext, StepFailedError, StepSkippedError
from coldframe.capture.shooting.set_inputs import DarkFlatInputs, SubtractedMaster
from coldframe.capture.shooting.set_shooting import LEAST_FRAMES
from coldframe.capture.steps import ShootStep, SkyMasterStep, SkyStep
from coldframe.capture.threads import LONG_WORK_S, in_thread, in_thread_within
from coldframe.capture.twilight.masters import sky_master
from coldframe.capture.twilight.shooting import SkyShooting
from coldframe.capture.twilight.sky_frames import SkySet
from coldframe.config.frames import FrameKind, ReadoutSettings

Conditions = tuple[ReadoutSettings, float | None]


@dataclass(frozen=True, slots=True)
class _Dark:
    """A master of frames without light, and the overscan that was subtracted from these frames."""

    rung: Rung
    overscan: Overscan | None


@dataclass(slots=True)
class _Twilight:
    """Flats and dark flats with one readout setting, setpoint and rotator angle.

    Attributes
    ----------
    sets
        The flats, by filter.
    rungs_s
        Exposures of the dark flats still to be shot, seconds, in ascending order.
    dark_flats
        Master dark flats so far.
    cfa_pattern
        Colour filter array of the frames, such as "RGGB"; None for mono.
    """

    sets: dict[str | None, SkySet]
    rungs_s: list[float]
    cfa_pattern: str | None
    dark_flats: list[_Dark] = field(default_factory=list)


class SkySets:
    """Shoots and combines the twilight flats of a night.

    Parameters
    ----------
    context
        The night.
    learned
        Saturation of the camera, measured on earlier nights.
    """

    def __init__(self, context: NightContext, learned: LearnedFlats) -> None:
        self._context = context
        self._learned = learned
        self._shot: dict[tuple[*Conditions, float | None], _Twilight] = {}
        self._biases: dict[Conditions, _Dark] = {}

    async def shoot(self, number: int, step: SkyStep, bias_adu: float) -> None:
        """Shoot the flats of all filters.

        Raises
        ------
        StepFailedError
            If flats are missing.
        DeviceError, NotDurableError
            If `SkyShooting.run` raises it.
        """
        shooting = SkyShooting(self._context, self._learned, number, step, bias_adu)
        try:
            missing = await shooting.run()
        finally:
            frames = shooting.frames
            sets = {name: each for name, each in frames.sets.items() if len(each.accepted) >= LEAST_FRAMES}
            used_s = [exposure_s for each in sets.values() for exposure_s in each.accepted.exposures_s]
            rungs_s = list(rung_exposures_s(used_s, step.dark_flats)) if used_s and step.dark_flats else []
            self._shot[step.readout, step.setpoint_c, step.rotator_deg] = _Twilight(sets, rungs_s, frames.cfa_pattern)
        if missing is not None:
            raise StepFailedError(missing)

    def next_dark_flat_inputs(self, step: ShootStep, e_per_adu: float | None) -> DarkFlatInputs:
        """Return the inputs for the next set of dark flats. The inputs for each set are returned only once.

        Raises
        ------
        StepSkippedError
            If no more dark flats are needed.
        """
        twilight = self._shot.get((step.readout, step.setpoint_c, step.rotator_deg))
        if twilight is None or not twilight.rungs_s:
            raise StepSkippedError("no twilight flats need dark flats")
        return DarkFlatInputs(twilight.rungs_s.pop(0), e_per_adu=e_per_adu)

    def keep(self, step: ShootStep, exposure_s: float, master: SubtractedMaster) -> None:
        """Keep a master bias or master dark flat that can be subtracted later."""
        conditions = (step.readout, step.setpoint_c)
        dark = _Dark(Rung(exposure_s, self._context.folder.master(master.name)), master.overscan)
        if step.kind is FrameKind.BIAS:
            self._biases[conditions] = dark
        elif step.kind is FrameKind.DARK_FLAT and (*conditions, step.rotator_deg) in self._shot:
            self._shot[(*conditions, step.rotator_deg)].dark_flats.append(dark)

    async def combine(self, number: int, step: SkyMasterStep) -> None:
        """Make the master of one filter.

        Raises
        ------
        StepSkippedError
            If the flats or the darks to subtract from them are missing.
        StepFailedError
            If a file cannot be read, or a flat shows no light.
        NotDurableError
            If the master could not be written to disk.
        """
        flat = step.flat
        conditions = (flat.readout, flat.setpoint_c)
        twilight = self._shot.get((*conditions, flat.rotator_deg))
        shot = twilight.sets.get(flat.filter) if twilight else None
        if twilight is None or shot is None:
            raise StepSkippedError("too few of its flats were shot")
        darks = self._darks(conditions, twilight)
        if not darks:
            raise StepSkippedError("there is neither a master dark flat nor a master bias to subtract")
        try:
            ladder = DarkLadder(dark.rung for dark in darks)
            master = await in_thread_within(
                LONG_WORK_S, sky_master, shot, ladder, darks[0].overscan, twilight.cfa_pattern
            )
        except (FrameFileError, NoSignalError) as error:
            raise StepFailedError(str(error)) from error
        written = await in_thread(save_master, self._context.folder, master)
        await publish_and_file(self._context, number, written)

    def _darks(self, conditions: Conditions, twilight: _Twilight) -> list[_Dark]:
        pedestal, bias = self._context.settings.flats.pedestal, self._biases.get(conditions)
        biases = [] if bias is None or pedestal == "dark-flat" else [bias]
        return biases if pedestal == "bias" else [*biases, *twilight.dark_flats]
