"""Keep the masters, levels and tunings of a night so far, as inputs for later sets. This module performs no I/O."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeGuard

from coldframe.calibration.masters.flat_pedestal import (
    FULL_SCALE_E,
    PROBES,
    DarkMaster,
    PedestalTest,
    PedestalVerdict,
    PlannedFlat,
    Subtract,
)
from coldframe.capture.judging.light_leak import filters_for_darks
from coldframe.capture.shooting.set_inputs import DarkFlatInputs, DarkInputs, FlatInputs, ShotSet, SubtractedMaster
from coldframe.capture.steps import ShootStep, Step, TuneStep
from coldframe.capture.tuner.panel_curve import PROPORTIONAL, PanelCurve
from coldframe.capture.tuner.tuner import Tuned
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.config.tables.flats import FlatSettings

LARGEST_AFTERGLOW = 0.05
"""Largest signal that afterglow causes in dark flats, relative to the signal in their flats.

A larger signal is due to a lit lamp or daylight.
"""

Conditions = tuple[ReadoutSettings, float | None]


@dataclass(slots=True)
class NightProducts:
    """Masters, levels and tunings that later sets need. Masters are large, so they are dropped after their last use.

    Attributes
    ----------
    flats
        Settings of the flats.
    panel_curve
        Known brightness curve of the panel.
    tuned
        Tunings of this night.
    """

    flats: FlatSettings
    panel_curve: PanelCurve = PROPORTIONAL
    tuned: dict[TuneStep, Tuned] = field(default_factory=dict)
    _bias_levels_adu: dict[Conditions, float] = field(default_factory=dict)
    _biases: dict[Conditions, SubtractedMaster] = field(default_factory=dict)
    _dark_flats: dict[TuneStep, SubtractedMaster] = field(default_factory=dict)
    _by_dark_flats: set[TuneStep] = field(default_factory=set)
    _verdicts: dict[TuneStep, PedestalVerdict] = field(default_factory=dict)

    def bias_level_adu(self, step: TuneStep | ShootStep) -> float | None:
        """Return the level of the master bias for the given step; None if there is no such master."""
        return self._bias_levels_adu.get((step.readout, step.setpoint_c))

    def tuned_at_other_angle(self, step: TuneStep) -> Tuned | None:
        """Return the newest tuning that differs from the given one only in the rotator angle; None if there is none."""
        alike = (tuned for each, tuned in self.tuned.items() if replace(each, rotator_deg=step.rotator_deg) == step)
        return next(reversed([*alike]), None)

    def move(self, from_c: float, to_c: float | None) -> None:
        """Copy the tunings from one setpoint to another. They stay valid there, because the lamp does not change."""
        for step, tuned in list(self.tuned.items()):
            if step.setpoint_c == from_c:
                self.tuned.setdefault(replace(step, setpoint_c=to_c), tuned)

    def keep(self, step: ShootStep, shot: ShotSet, later: Sequence[Step]) -> None:
        """Keep the results of the given set that later sets need.

        Parameters
        ----------
        step, shot
            The set and its result.
        later
            The steps that follow.
        """
        conditions, master = (step.readout, step.setpoint_c), shot.master
        match step.kind:
            case FrameKind.BIAS:
                self._bias_levels_adu[conditions] = master.level
                self._biases[conditions] = master
            case FrameKind.DARK_FLAT:
                if shot.verdict is not None:
                    self._verdicts[step.tuning] = shot.verdict
                if self._subtracts_dark_flats(shot.verdict):
                    self._dark_flats[step.tuning] = master
                    self._by_dark_flats.add(step.tuning)
            case FrameKind.FLAT:
                self._dark_flats.pop(step.tuning, None)
                flats = (each for each in later if is_for_flats(each))
                if all((each.readout, each.setpoint_c) != conditions for each in flats):
                    self._biases.pop(conditions, None)

    def has_bias_subtracted(self, step: ShootStep) -> bool:
        """Return whether a bias, not a dark flat, was subtracted from the given flats."""
        return step.tuning not in self._by_dark_flats

    def dark_inputs(self, step: ShootStep, e_per_adu: float | None, ceiling_adu: float | None) -> DarkInputs:
        """Return the inputs for a set of darks, with filters that help to distinguish light from dark current."""
        assert step.exposure_s is not None
        filters = filters_for_darks(self._filter_light())
        return DarkInputs(step.exposure_s, ceiling_adu, filters, e_per_adu=e_per_adu)

    def dark_flat_inputs(self, step: ShootStep, steps: Sequence[Step], e_per_adu: float | None) -> DarkFlatInputs:
        """Return the inputs for a set of dark flats whose flats have been tuned.

        Parameters
        ----------
        step
            The set.
        steps
            All steps of the night, including the flats.
        e_per_adu
            Gain in electrons per ADU; None if unknown.
        """
        tuned = self.tuned[step.tuning]
        ceiling_adu = tuned.target.bias_adu + LARGEST_AFTERGLOW * tuned.signal_adu
        test = self._pedestal_test(step, steps, tuned, e_per_adu)
        return DarkFlatInputs(tuned.exposure_s, test, ceiling_adu, e_per_adu)

    def flat_inputs(self, step: ShootStep) -> FlatInputs | None:
        """Return the inputs for a tuned set of flats; None if there is no master to subtract from the flats."""
        subtracted = self._dark_flats.get(step.tuning) or self._biases.get((step.readout, step.setpoint_c))
        if subtracted is None:
            return None
        return FlatInputs(self.tuned[step.tuning], subtracted, self._verdicts.get(step.tuning))

    def _filter_light(self) -> dict[str, float]:
        """Return the relative signal of the panel, at equal brightness, through each filter that was tuned tonight."""
        return {
            step.filter: tuned.rate_adu_per_s / self.panel_curve.light(tuned.brightness or 1)
            for step, tuned in self.tuned.items()
            if step.filter is not None
        }

    def _subtracts_dark_flats(self, verdict: PedestalVerdict | None) -> bool:
        if verdict is not None:
            return verdict.subtract is Subtract.DARK_FLAT
        return self.flats.pedestal != "bias"

    def _pedestal_test(
        self, step: ShootStep, steps: Sequence[Step], tuned: Tuned, e_per_adu: float | None
    ) -> PedestalTest | None:
        """Return how to compare the dark flats with the bias, or None if no comparison is possible or wanted."""
        bias = self._biases.get((step.readout, step.setpoint_c))
        if bias is None or self.flats.pedestal != "auto" or step.count <= PROBES:
            return None
        flats = sum(each.count for each in steps if isinstance(each, ShootStep) and is_flat_of(each, step))
        e_per_adu = e_per_adu or FULL_SCALE_E / tuned.target.range_adu
        return PedestalTest(
            DarkMaster(bias.mean, bias.uncertainty, bias.level_error_adu),
            PlannedFlat.of(tuned.signal_adu * tuned.target.faintest_part, max(flats, 1), e_per_adu),
        )


def is_for_flats(step: Step) -> TypeGuard[TuneStep | ShootStep]:
    """Return whether the step tunes or shoots flats."""
    return isinstance(step, TuneStep) or (isinstance(step, ShootStep) and step.kind is FrameKind.FLAT)


def is_flat_of(step: ShootStep, dark_flat: ShootStep) -> bool:
    """Return whether the step shoots the flats that belong to the given dark flats."""
    return step.kind is FrameKind.FLAT and step.tuning == dark_flat.tuning
