"""The telescope, which combines all hardware and computes the light that reaches the sensor."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from coldframe.config.frames import FrameKind
from coldframe.config.simulated_rig import SimulatedRig
from coldframe.devices.flat_panel import CoverState
from coldframe.simulators.cooler import Cooler, ambient_c
from coldframe.simulators.faulty_light import Flicker, Leak, leak_e_per_s
from coldframe.simulators.panel import Panel
from coldframe.simulators.rotator import Rotator
from coldframe.simulators.sensor import Exposure, Sensor
from coldframe.simulators.sky import SkyField, twilight_e_per_s
from coldframe.simulators.wheel import Wheel


class Telescope:
    """The hardware of a simulated rig, on one clock.

    Parameters
    ----------
    rig
        Description of the rig.
    started_s
        Time at which the rig is switched on; all later times are on the same clock.
    """

    def __init__(self, rig: SimulatedRig, started_s: float) -> None:
        self.rig = rig
        self.sensor = Sensor(rig.sensor, rig.seed)
        self.cooler = Cooler(rig, rig.cooler, started_s) if rig.cooler else None
        self.panel = Panel(rig.panel, is_dead=rig.faults.panel_dead)
        self.wheel = Wheel(rig.wheel, is_stuck=rig.faults.wheel_stuck) if rig.wheel else None
        self.rotator = Rotator(rig.rotator) if rig.rotator else None
        self._started_s = started_s
        self._exposures = rig.frames_before

    def sensor_c(self, now_s: float) -> float:
        """Return the sensor's true temperature, in degrees Celsius."""
        if self.cooler is None:
            return ambient_c(self.rig, now_s - self._started_s)
        self.cooler.advance(now_s)
        return self.cooler.sensor_c

    def light_e_per_s(self, now_s: float, exposure_s: float = 0.0) -> float:
        """Return the mean light during an exposure, in electrons per second in a clear pixel on the axis."""
        if self._sees_sky(now_s):
            return self._transmission(now_s) * (self.rig.sky_e_per_s + self._twilight_e_per_s(now_s, exposure_s))
        return self._transmission(now_s) * (self.panel.e_per_s() + self.rig.stray_e_per_s)

    def _sees_sky(self, now_s: float) -> bool:
        return self.panel.cover(now_s) in (CoverState.OPEN, CoverState.MOVING)

    def _transmission(self, now_s: float) -> float:
        return self.wheel.transmission(now_s) if self.wheel else 1.0

    def _twilight_e_per_s(self, now_s: float, exposure_s: float) -> float:
        twilight = self.rig.twilight
        return twilight_e_per_s(twilight, now_s - self._started_s, exposure_s) if twilight else 0.0

    def _sky_field(self, now_s: float, exposure_s: float) -> SkyField | None:
        twilight = self.rig.twilight
        if twilight is None or not self._sees_sky(now_s):
            return None
        transmission = self._transmission(now_s)
        slope_e_per_s = transmission * twilight.slope * self._twilight_e_per_s(now_s, exposure_s)
        faintest_e_per_s = transmission * twilight.faintest_star_e_per_s
        return SkyField(slope_e_per_s, twilight.stars_per_mpx, faintest_e_per_s, (self.rig.seed, self._exposures))

    def begin(
        self,
        kind: FrameKind,
        exposure_s: float,
        now_s: float,
        *,
        gain: float,
        offset: float,
        binning: int,
        readout_mode: int,
    ) -> Exposure:
        """Begin and count an exposure, and return everything that its frame depends on."""
        self._exposures += 1
        shutter_stays_closed = kind.needs_darkness and self.rig.sensor.shutter_travel_s is not None
        return Exposure(
            number=self._exposures,
            exposure_s=exposure_s,
            light_e_per_s=0.0 if shutter_stays_closed else self.light_e_per_s(now_s, exposure_s),
            filter_slot=self.wheel.in_beam if self.wheel else None,
            rotator_deg=self.rotator.angle_deg(now_s) if self.rotator else None,
            sensor_c=self.sensor_c(now_s),
            gain=gain,
            offset=offset,
            binning=binning,
            readout_mode=readout_mode,
            flicker=self._flicker(now_s),
            leak=None if shutter_stays_closed else self._leak(now_s),
            sky=None if shutter_stays_closed else self._sky_field(now_s, exposure_s),
        )

    def _flicker(self, now_s: float) -> Flicker | None:
        faults = self.rig.faults
        if not faults.flicker_depth:
            return None
        phase = 2 * np.pi * (faults.flicker_hz * now_s % 1)
        return Flicker(faults.flicker_hz, faults.flicker_depth, phase, faults.line_s)

    def _leak(self, now_s: float) -> Leak | None:
        faults = self.rig.faults
        if not faults.leak_e_per_s:
            return None
        return Leak(self._transmission(now_s) * leak_e_per_s(faults, now_s - self._started_s), faults.leak_side)

    def render(self, shot: Exposure) -> NDArray[np.uint16]:
        """Expose and read out one frame, as `Sensor.render` does, with the gain that the camera actually uses."""
        gain = self.rig.sensor.gain
        if self.rig.faults.gain_ignored and gain:
            shot = replace(shot, gain=gain.default)
        return self.sensor.render(shot)

    def readout_s(self, readout_mode: int) -> float:
        """Return the time from the end of an exposure to the complete frame."""
        modes = self.rig.sensor.readout_modes
        return self.rig.timing.readout_s * (modes[readout_mode].time_factor if modes else 1.0)
