"""The [server], [camera], [panel], [cover], [wheel], [rotator] and [[auxiliaries]] tables: the rig's devices."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from coldframe.config.section import Contradiction, ContradictionError, Name, Section
from coldframe.config.tables.mqtt_panel import MqttPanelSettings
from coldframe.config.tables.values import Binning, DifferentNames, Gain, Setpoint

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


class ServerSettings(Section):
    """The INDI server that runs the rig's drivers."""

    host: Name = Field(
        default="127.0.0.1",
        description="Host name or IP address of the INDI server. INDI has no passwords, so use this machine, "
        "or a tunnel to a different machine.",
    )
    port: int = Field(default=7624, ge=1, le=65535, description="TCP port of the INDI server.")
    unix_socket: Annotated[Name | None, BeforeValidator(_empty_is_none)] = Field(
        default="/tmp/indiserver",  # noqa: S108  indiserver's own default, an abstract name
        description="Local socket of the INDI server (its option -u). If the server runs on this machine, this socket "
        "and those in the server's command line are tried before TCP, because frames arrive several times faster over "
        'them. A socket of a different server is not used. "" disables local sockets.',
    )

    @property
    def is_local(self) -> bool:
        """True if the server runs on this machine, so that its local socket can be tried."""
        return self.host.lower() in LOOPBACK_HOSTS


class CameraSettings(Section):
    """The camera, and the readout settings that calibration frames must share with the lights."""

    device: Name = Field(description="Name of the camera in INDI; `coldframe devices` lists all names.")
    gain: Gain | None = Field(
        default=None,
        description="Gain in the driver's own units, as for the lights. If not set, the driver's value is kept.",
    )
    offset: Gain | None = Field(
        default=None,
        description="Offset (black level) in the driver's own units, as for the lights. If not set, the driver's "
        "value is kept.",
    )
    binning: Binning = Field(default=1, description="Binning along each axis, as for the lights.")
    readout_mode: Name | None = Field(
        default=None, description="Readout mode as the driver labels it. If not set, the driver's mode is kept."
    )
    setpoint_c: Setpoint | None = Field(
        default=None,
        description="Sensor temperature in degrees Celsius, as for the lights. If not set, the cooler is left "
        "unchanged (uncooled cameras).",
    )
    readout_deadline_s: float = Field(
        default=60.0,
        ge=1,
        le=600,
        description="Maximum time from the end of an exposure to the complete frame; after that, the camera counts "
        "as stuck.",
    )
    file_format: Literal["fits", "raw"] = Field(
        default="fits",
        description='File format of a DSLR: "fits" if the driver offers FITS, which every program reads; "raw" keeps '
        "the camera's own raws, such as CR2 or NEF, and needs the package rawpy. Drivers of other cameras send only "
        "FITS.",
    )
    overscan: Literal["none", "row", "smooth"] = Field(
        default="smooth",
        description='Overscan correction of masters, if the driver\'s header has an overscan (BIASSEC): "row" '
        'subtracts the overscan level of each line, "smooth" smooths this level along the strip first, and both '
        'trim the strip. "none" keeps the whole frame, for programs that calibrate whole frames.',
    )


class PanelSettings(Section):
    """The flat panel, with or without a cover."""

    device: Name = Field(
        description="Name of the panel in INDI; any name for a lamp on an MQTT broker, or for a lamp that you "
        "switch by hand."
    )
    kind: Literal["indi", "mqtt", "manual"] = Field(
        default="indi",
        description='"mqtt" for a WLED, Tasmota, ESPHome or zigbee2mqtt lamp, described in [panel.mqtt]; "manual" '
        "for a lamp that you switch by hand: coldframe asks you to switch it, and detects the change with the "
        "camera. Start with the lamp off.",
    )
    mqtt: MqttPanelSettings | None = Field(
        default=None, description='Broker and topic of the lamp, as a [panel.mqtt] table, if `kind` is "mqtt".'
    )
    manual_deadline_s: float = Field(
        default=1800.0, ge=1, le=43200, description="Maximum wait for you to switch the lamp by hand."
    )
    cover_for_flats: Literal["closed", "open"] = Field(
        default="closed",
        description='Position of the cover during flats, if there is one: "closed" if the lamp is in the cover '
        '(such as a Flip-Flat), "open" if a separate panel shines through the open cover.',
    )
    cover_at_end: Literal["closed", "open"] = Field(
        default="closed", description='Position of the cover at the end of the night; "closed" keeps dust and dew away.'
    )
    settle_s: float = Field(
        default=2.0, ge=0, le=120, description="Pause after switching the lamp or changing its brightness."
    )
    cover_deadline_s: float = Field(
        default=60.0, ge=1, le=600, description="Maximum time for the cover to open or close."
    )

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        if self.kind == "mqtt" and self.mqtt is None:
            text = "missing; a panel of this kind needs a [panel.mqtt] table with family and topic"
            raise ContradictionError([Contradiction(("mqtt",), text)])
        if self.kind != "mqtt" and self.mqtt is not None:
            text = f'found a table with kind = "{self.kind}"; allowed: only with kind = "mqtt"'
            raise ContradictionError([Contradiction(("mqtt",), text)])
        return self


class CoverSettings(Section):
    """A dust cap or another cover that is not part of the panel. It is closed for darks and open for flats."""

    device: Name = Field(description="Name of the cover in INDI.")
    at_end: Literal["closed", "open"] = Field(
        default="closed", description='Position at the end of the night; "closed" keeps dust and dew away.'
    )
    deadline_s: float = Field(default=60.0, ge=1, le=600, description="Maximum time for the cover to open or close.")


class WheelSettings(Section):
    """The filter wheel."""

    device: Name = Field(description="Name of the filter wheel in INDI.")
    names: DifferentNames | None = Field(
        default=None, description="Filter names in slot order, instead of the driver's names."
    )
    settle_s: float = Field(default=1.0, ge=0, le=120, description="Pause after a filter change.")
    turn_deadline_s: float = Field(default=60.0, ge=1, le=600, description="Maximum time for a filter change.")


class RotatorSettings(Section):
    """The rotator, which coldframe turns to the angle of each flat set, and back at the end of the night."""

    device: Name = Field(description="Name of the rotator in INDI.")
    tolerance_deg: float = Field(
        default=0.2,
        ge=0.01,
        le=0.5,
        description="Maximum difference between the rotator's angle and a set's angle, in degrees.",
    )
    settle_s: float = Field(default=1.0, ge=0, le=120, description="Pause after a turn.")
    turn_deadline_s: float = Field(default=180.0, ge=1, le=1800, description="Maximum time for a turn.")


class AuxiliarySettings(Section):
    """A control of any other INDI device that is to be switched off for frames that need darkness.

    An example is a dew heater with an indicator lamp.
    """

    device: Name = Field(description="Name of the device in INDI.")
    property: Name = Field(description="INDI property, such as `DEW_PWM`.")
    element: Name = Field(description="Number or switch of the property.")
    off: float = Field(
        default=0.0,
        ge=-1e6,
        le=1e6,
        description="Value for bias frames, darks and dark flats; for a switch, 0 means off and 1 means on. At the end "
        "of the night, the previous value is restored.",
    )
