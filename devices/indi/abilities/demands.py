"""The switches that determine how a driver sends frames, and the changes by other clients to these switches."""

from coldframe.devices.indi import dialects
from coldframe.devices.indi.abilities.file_format import FileFormat, choose_format
from coldframe.devices.indi.device import IndiDevice


class FrameDemands:
    """The settings that make a driver send uncompressed 16-bit frames in one file format.

    Parameters
    ----------
    device
        The camera.
    file_format
        Format in which the driver should send frames, if it offers a choice.
    """

    def __init__(self, device: IndiDevice, file_format: FileFormat) -> None:
        self._device = device
        self.file_format = file_format
        self._met: tuple[dialects.Spelling, ...] = ()

    async def ask(self) -> None:
        """Set the switches, and record which of them the driver then shows as set.

        Raises
        ------
        NotSupportedError
            If the driver does not offer the file format.
        DeviceError
            If the driver does not carry out a command.
        """
        device = self._device
        await choose_format(device, self.file_format)
        for demand in dialects.CAMERA_DEMANDS:
            prop = device.link.mirror.find(device.name, demand.property)
            if prop is not None and prop.writable and prop.values.get(demand.element) is False:
                await device.link.choose(device.name, demand.property, demand.element)
        demands = (dialects.SENDS_FITS, dialects.SENDS_RAW, *dialects.CAMERA_DEMANDS)
        self._met = tuple(each for each in demands if device.value((each,)) is True)

    def changes(self) -> list[str]:
        """Return the changes by another client as phrases, such as "compressed by another client (CCD_COMPRESSION)"."""
        return [
            f"{dialects.DEMANDS_CHANGED[each.property]} by another client ({each.property})"
            for each in self._met
            if self._device.value((each,)) is False
        ]
