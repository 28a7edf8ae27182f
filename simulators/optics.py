"""The whole telescope: and which light falls on the sensor."""

from coldframe.config.frames import FrameKind
from coldframe.config.simulated_rig import SimulatedRig
from coldframe.devices.flat_panel import CoverState
from coldframe.simulators.cooler import Cooler, ambient_c
from coldframe.simulators.panel import Panel
from coldframe.simulators.sensor import Exposure, Sensor
from coldframe.simulators.wheel import Wheel


class Telescope:
    """The hardware of a simulated rig, under one clock.

    Parameters
    ----------
    rig
        What it is made of.
    started_s
        When it is switched on; all later times are on the same clock.
    """

    def __init__(self, rig: SimulatedRig, started_s: float) -> None:
        self.rig = rig
        self.sensor = Sensor(rig.sensor, rig.seed)
        self.cooler = Cooler(rig, rig.cooler, started_s) if rig.cooler else None
        self.panel = Panel(rig.panel)
        self.wheel = Wheel(rig.wheel) if rig.wheel else None
        self._started_s = started_s
        self._exposures = 0

    def sensor_c(self, now_s: float) -> float:
        """Return the sensor's true temperature."""
        if self.cooler is None:
            return ambient_c(self.rig, now_s - self._started_s)
        self.cooler.advance(now_s)
        return self.cooler.sensor_c

    def light_e_per_s(self, now_s: float) -> float:
        """Return the light on the sensor, in electrons per second in a clear pixel on the axis."""
        transmission = self.wheel.transmission(now_s) if self.wheel else 1.0
        if self.panel.cover(now_s) in (CoverState.OPEN, CoverState.MOVING):
            return transmission * self.rig.sky_e_per_s
        return transmission * (self.panel.e_per_s() + self.rig.stray_e_per_s)

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
        """Begin an exposure: count it, and note all that its frame depends on."""
        self._exposures += 1
        shutter_stays_closed = kind.needs_darkness and self.rig.sensor.shutter_travel_s is not None
        return Exposure(
            number=self._exposures,
            exposure_s=exposure_s,
            light_e_per_s=0.0 if shutter_stays_closed else self.light_e_per_s(now_s),
            filter_slot=self.wheel.target if self.wheel else None,
            sensor_c=self.sensor_c(now_s),
            gain=gain,
            offset=offset,
            binning=binning,
            readout_mode=readout_mode,
        )

    def readout_s(self, readout_mode: int) -> float:
        """Return the time from the end of an exposure to the last pixel's value."""
        modes = self.rig.sensor.readout_modes
        return self.rig.timing.readout_s * (modes[readout_mode].time_factor if modes else 1.0)
