"""The cooler and the thermometer of a camera on an INDI server."""

from coldframe.devices.camera import Limits, Thermals
from coldframe.devices.errors import NotSupportedError, SettingRefusedError
from coldframe.devices.indi import dialects
from coldframe.devices.indi.abilities.file_format import is_dslr
from coldframe.devices.indi.device import ANY_BUT_ALERT, DEFINE_DEADLINE_S, IndiDevice
from coldframe.devices.indi.mirror import Property

SENSIBLE_C = Limits(-100.0, 100.0)
"""Range of plausible readings. Drivers have been seen to report -300 or -273.15 (indi-3rdparty#1328)."""

NO_COOLING_C = 50.0
"""Setpoint that in effect turns off a cooler without a switch, such as FLI's. Moravian's driver itself uses a
high setpoint to turn off its cooler."""

NO_POWER_PERCENT = 5.0
"""Highest power at which a cooler without a switch counts as off."""


class IndiCooler:
    """The cooler of a camera. The last setpoint is stored so that it can be restored.

    Parameters
    ----------
    device
        The camera. Its driver must be connected whenever a method is called.

    Attributes
    ----------
    setpoint_c
        The last commanded setpoint in degrees Celsius; None while the cooler is off.
    """

    def __init__(self, device: IndiDevice) -> None:
        self._device = device
        self.setpoint_c: float | None = None

    @property
    def setpoint_limits_c(self) -> Limits | None:
        """Range of the setpoint, in degrees Celsius; None for an uncooled camera."""
        if not self._device.has(dialects.TEMPERATURE):
            return None
        return self._device.limits(dialects.TEMPERATURE) or SENSIBLE_C

    @property
    def reports_temperature(self) -> bool:
        """True if the sensor's temperature can be read."""
        return self._device.value(dialects.TEMPERATURE) is not None and self._is_known

    @property
    def _is_known(self) -> bool:
        """False while a DSLR driver shows 0 C only because it has no reading.

        The gphoto driver takes the temperature from each frame. The temperature property is Idle until the first frame,
        and Alert if frames contain no temperature (gphoto_ccd.cpp, `TimerHit`). Drivers of cooled cameras show readings
        in every state.
        """
        found = dialects.find(self._device.link.mirror, self._device.name, dialects.TEMPERATURE)
        return found is None or not is_dslr(self._device) or found[0].state in {"ok", "busy"}

    @property
    def is_lost(self) -> bool:
        """True if the cooler should be on, but the driver or another client has switched it off."""
        return self.setpoint_c is not None and self._device.value(dialects.COOLER_ON) is False

    def thermals(self) -> Thermals:
        """Return the latest temperature reading. An implausible value, such as -273.15, counts as unknown."""
        device = self._device
        found = dialects.find(device.link.mirror, device.name, dialects.TEMPERATURE)
        sensor_c = device.number(dialects.TEMPERATURE) if self._is_known else None
        power_percent = device.number(dialects.COOLER_POWER)
        return Thermals(
            sensor_c=sensor_c if sensor_c is not None and SENSIBLE_C.contains(sensor_c) else None,
            setpoint_c=self.setpoint_c,
            cooler_on=self._is_on(power_percent),
            power_percent=power_percent,
            read_at_s=found[0].received_at_s if found is not None else 0.0,
        )

    def of_frame(self, stated_c: float | None, *, is_raw: bool) -> float | None:
        """Return the sensor temperature of a frame in degrees Celsius, from its header or its driver; None if unknown.

        Parameters
        ----------
        stated_c
            The temperature in the frame's header, in degrees Celsius; None if missing.
        is_raw
            True if the camera itself wrote this header. The header then takes precedence over the driver's reading.
        """
        shown_c = self.thermals().sensor_c
        if is_raw and stated_c is not None:
            return stated_c
        # Without a reading, use the header, unless a DSLR driver wrote it: that driver then writes 0 C.
        return stated_c if shown_c is None and not is_dslr(self._device) else shown_c

    def _is_on(self, power_percent: float | None) -> bool | None:
        """Return whether the cooler is on, according to its switch or its power; None if neither is reported."""
        switch = self._device.value(dialects.COOLER_ON)
        if isinstance(switch, bool):
            return switch
        return None if power_percent is None else power_percent > NO_POWER_PERCENT

    async def restore(self) -> None:
        """Set the last setpoint again, if any, because a driver loses its setpoint when it restarts."""
        if self.setpoint_c is not None:
            await self._order(self.setpoint_c)

    async def set_setpoint(self, setpoint_c: float) -> None:
        """Switch the cooler on, and set its setpoint. Return once the driver has accepted the setpoint.

        Raises
        ------
        NotSupportedError
            If the camera has no cooler.
        SettingRefusedError
            If the driver answers with an alert.
        """
        await self._order(setpoint_c)
        self.setpoint_c = setpoint_c

    async def _order(self, setpoint_c: float) -> None:
        device = self._device
        if not device.has(dialects.TEMPERATURE):
            device.expect_lasting(dialects.TEMPERATURE[0].property, dialects.COOLER_OFF[0].property)
            raise NotSupportedError(device.name, "has no cooler that can be controlled")
        if device.has(dialects.COOLER_ON) and device.value(dialects.COOLER_ON) is False:
            on = dialects.COOLER_ON[0]
            # Drivers show the cooler as Busy while it cools.
            await device.command(on.property, {on.element: True}, good_states=ANY_BUT_ALERT)
        spelling = dialects.TEMPERATURE[0]
        device.need(spelling.property)
        sent = device.link.send(device.name, spelling.property, {spelling.element: setpoint_c})

        def accepted() -> Property | None:
            # CCD_TEMPERATURE shows the sensor temperature, not the setpoint, and stays Busy until the sensor reaches
            # the setpoint. Therefore its value is not compared with the setpoint.
            prop = device.newer(spelling.property, sent)
            if prop is not None and prop.state == "alert":
                raise SettingRefusedError(device.name, f"refused the setpoint {setpoint_c:g} C")
            return prop

        waiting_for = f"an answer to the setpoint {setpoint_c:g} C"
        await device.link.wait_answer(device.name, spelling.property, accepted, DEFINE_DEADLINE_S, waiting_for)

    async def switch_off(self) -> None:
        """Switch the cooler off. If it has no switch, set a setpoint that requires no cooling.

        Raises
        ------
        NotSupportedError
            If the camera has no cooler.
        DeviceError
            If the driver does not carry out the command.
        """
        if self._device.has(dialects.COOLER_OFF):
            await self._device.set(dialects.COOLER_OFF, value=True)
        else:
            limits = self.setpoint_limits_c or SENSIBLE_C
            await self._order(min(limits.maximum, NO_COOLING_C))
