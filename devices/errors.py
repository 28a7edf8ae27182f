"""What can go wrong with a device. Every message tells what happened, to which device, and what to do next."""

from coldframe.errors import ColdframeError


class DeviceError(ColdframeError):
    """A device did not do what it was asked.

    Parameters
    ----------
    device
        The device's name as its driver spells it.
    what
        What happened, as a clause: "did not reach the setpoint within 600 s".
    advice
        What the reader can do next, as a sentence; may be empty.
    """

    def __init__(self, device: str, what: str, advice: str = "") -> None:
        super().__init__(f"{device}: {what}" + (f". {advice}" if advice else ""))
        self.device = device
        self.what = what
        self.advice = advice


class DeviceTimeoutError(DeviceError):
    """A wait for a device passed its deadline."""


class DeviceLostError(DeviceError):
    """The device, its driver or the server went away; reconnecting may bring it back."""


class SettingRefusedError(DeviceError):
    """The driver answered a setting with an alert, or the value lies outside the range that it announces."""


class FrameDamagedError(DeviceError):
    """What came as a frame cannot be one: truncated, not FITS, of another size or depth than asked."""


class NotSupportedError(DeviceError):
    """The device has no such control."""
