"""The settings of a camera's driver that coldframe changes for its own purposes and restores at the end."""

import logging
from collections.abc import Mapping

from coldframe.devices.errors import DeviceError
from coldframe.devices.indi import dialects
from coldframe.devices.indi.device import IndiDevice
from coldframe.devices.indi.mirror import Property, Value

log = logging.getLogger(__name__)

RESTORED = tuple(
    dict.fromkeys(
        (
            *(demand.property for demand in dialects.CAMERA_DEMANDS),
            dialects.SENDS_FITS.property,
            dialects.FORCE_BULB_OFF.property,
            dialects.POLLING_PERIOD[0].property,
            "CCD_FRAME_TYPE",
        )
    )
)
"""Properties to restore. Readout settings are not restored, because they come from the user's configuration."""

RESTORE_DEADLINE_S = 5.0


class FoundSettings:
    """The values that the properties in `RESTORED` had when a camera was first set up.

    Parameters
    ----------
    device
        The camera.
    """

    def __init__(self, device: IndiDevice) -> None:
        self._device = device
        self._found: Mapping[str, Mapping[str, Value]] | None = None

    def remember(self) -> None:
        """Store the current values, unless values are already stored: a restarted driver has lost the original ones."""
        if self._found is None:
            find = self._device.link.mirror.find
            properties = [find(self._device.name, name) for name in RESTORED]
            self._found = {prop.name: _values(prop) for prop in properties if prop is not None and prop.writable}

    async def restore(self) -> None:
        """Restore the values of changed properties. Failures are only logged, because the night is over."""
        found, self._found = self._found or {}, None
        device = self._device
        for name, values in found.items():
            prop = device.link.mirror.find(device.name, name)
            if not device.link.connected or prop is None or _values(prop) == values or not values:
                continue
            try:
                await device.link.set(device.name, name, values, RESTORE_DEADLINE_S)
            except DeviceError as error:
                log.warning("%s; this setting differs from its value before the night", error)


def _values(prop: Property) -> Mapping[str, Value]:
    """Return the values with which to restore a property: its numbers or texts, or the switches that are on."""
    return {name: value for name, value in prop.values.items() if prop.kind != "switch" or value is True}
