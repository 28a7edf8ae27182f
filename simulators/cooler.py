"""A cooler with a Peltier element of limited power and a PI controller, on a sensor with thermal inertia."""

import math

import numpy as np

from coldframe.config.simulated_rig import CoolerModel, SimulatedRig

STEPS_PER_TIME_CONSTANT = 100


def ambient_c(rig: SimulatedRig, since_s: float) -> float:
    """Return the outside temperature `since_s` seconds after the rig was switched on."""
    return rig.ambient_c + rig.ambient_drift_c_per_h * since_s / 3600


class Cooler:
    """The temperature of a sensor over time.

    The temperature is computed in fixed steps, so that it does not depend on the times of the readings.

    Parameters
    ----------
    rig
        Description of the rig, with its ambient temperature and its seed.
    model
        Parameters of the cooler.
    started_s
        Time at which the rig is switched on; all later times are on the same clock.
    """

    def __init__(self, rig: SimulatedRig, model: CoolerModel, started_s: float) -> None:
        self._rig = rig
        self._model = model
        self._started_s = started_s
        self._step_s = model.time_constant_s / STEPS_PER_TIME_CONSTANT
        self._decay = math.exp(-1 / STEPS_PER_TIME_CONSTANT)
        self._steps = 0
        self._noise = np.random.default_rng(rig.seed)
        self._integral = 0.0
        self.sensor_c = rig.ambient_c
        self.reading_c = rig.ambient_c
        self.setpoint_c: float | None = None
        self.power = 0.0

    @property
    def power_percent(self) -> float:
        """Power of the Peltier element, in percent."""
        return 100 * self.power

    def cool_to(self, setpoint_c: float) -> None:
        """Switch the cooler on, and regulate the temperature to a setpoint."""
        # The integral starts at the power that holds the setpoint, so that the approach does not depend on integration.
        ambient = ambient_c(self._rig, self._steps * self._step_s)
        self._integral = min(max((ambient - setpoint_c) / self._model.maximum_delta_c, 0.0), 1.0)
        self.setpoint_c = setpoint_c

    def weaken(self, maximum_delta_c: float) -> None:
        """Reduce the largest difference from ambient temperature, as the loss of the vacuum or a failed fan would."""
        self._model = self._model.model_copy(update={"maximum_delta_c": maximum_delta_c})

    def switch_off(self) -> None:
        """Switch the cooler off, so that the sensor drifts back to ambient temperature."""
        self.setpoint_c = None
        self.power = 0.0

    def advance(self, now_s: float) -> None:
        """Advance the temperature and the regulation to `now_s`."""
        # The tolerance covers rounding of the clock, so that the same night always has the same steps.
        due = int((now_s - self._started_s) / self._step_s + 1e-6)
        while self._steps < due:
            self._steps += 1
            self._step(ambient_c(self._rig, self._steps * self._step_s))

    def _step(self, ambient: float) -> None:
        if self.setpoint_c is not None:
            self.power = self._control(self.sensor_c - self.setpoint_c)
        goal_c = ambient - self.power * self._model.maximum_delta_c
        self.sensor_c = goal_c + (self.sensor_c - goal_c) * self._decay
        self.reading_c = self.sensor_c + self._noise.normal(0, self._model.reading_noise_c)

    def _control(self, error_c: float) -> float:
        # The integral time is the sensor's time constant (pole-zero cancellation). The closed loop is 4 times faster
        # than the sensor.
        proportional = 4 / self._model.maximum_delta_c
        wanted = proportional * error_c + self._integral
        power = min(max(wanted, 0.0), 1.0)
        # Integration stops while the power is at a limit, to avoid integral windup while cooling down.
        if power == wanted:
            self._integral += proportional * error_c / STEPS_PER_TIME_CONSTANT
        return power
