"""Errors raised by devices. Every message names the device, and says what happened and, if known, what to do next."""

from coldframe.errors import ColdframeError


class DeviceError(ColdframeError):
    """A command to a device failed.

    Parameters
    ----------
    device
        The device's name as its driver spells it.
    what
        Description of the failure, as a clause, such as "did not reach the setpoint within 600 s".
    advice
        Suggestion for the user, in full sentences; may be empty.
    """

    def __init__(self, device: str, what: str, advice: str = "") -> None:
        super().__init__(f"{device}: {what}" + (f". {advice}" if advice else ""))
        self.device = device
        self.what = what
        self.advice = advice


class DeviceTimeoutError(DeviceError):
    """A wait for a device exceeded its deadline."""


class DeviceLostError(DeviceError):
    """The device, its driver or the server disappeared. Reconnecting may help."""


class SettingRefusedError(DeviceError):
    """The driver rejected a setting with an alert, or a value is outside the range that the driver announces."""


class FrameDamagedError(DeviceError):
    """A delivery is not the requested frame: for example, it is truncated, or has the wrong size or exposure."""


class NotSupportedError(DeviceError):
    """The device lacks the requested control, value or format."""
