"""The tables [server], [camera], [panel], [wheel] and [[auxiliaries]]: the rig's devices."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from coldframe.config.section import Contradiction, ContradictionError, Name, Section
from coldframe.config.tables.mqtt_panel import MqttPanelSettings
from coldframe.config.tables.values import Binning, DifferentNames, Gain, Setpoint

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


class ServerSettings(Section):
    """The INDI server that the rig's drivers run under."""

    host: Name = Field(
        default="127.0.0.1",
        description="Name or address of the machine with the INDI server. INDI has no passwords: prefer this machine, "
        "or a tunnel to the other one.",
    )
    port: int = Field(default=7624, ge=1, le=65535, description="TCP port of the INDI server.")
    unix_socket: Annotated[Name | None, BeforeValidator(_empty_is_none)] = Field(
        default="/tmp/indiserver",  # noqa: S108  indiserver's own default, an abstract name
        description="Local socket of the INDI server (its option -u), used instead of TCP where the host is this "
        'machine and the socket answers: frames arrive several times faster. "" means never.',
    )

    @property
    def is_local(self) -> bool:
        """True if the server runs on this machine, so that its local socket may be tried."""
        return self.host.lower() in LOOPBACK_HOSTS


class CameraSettings(Section):
    """The camera, and the readout settings that calibration frames must share with the lights."""

    device: Name = Field(description="The camera as its INDI driver names it; `coldframe devices` lists the names.")
    gain: Gain | None = Field(
        default=None,
        description="Gain in the driver's own units, as for the lights. Without it the driver's value stays.",
    )
    offset: Gain | None = Field(
        default=None,
        description="Offset (black level) in the driver's own units, as for the lights. "
        "Without it the driver's value stays.",
    )
    binning: Binning = Field(default=1, description="Pixels binned along each axis, as for the lights.")
    readout_mode: Name | None = Field(
        default=None, description="Readout mode, spelt as the driver labels it. Without it the driver's mode stays."
    )
    setpoint_c: Setpoint | None = Field(
        default=None,
        description="Sensor temperature in degrees Celsius, as for the lights. Without it the cooler is left alone "
        "(uncooled cameras).",
    )
    readout_deadline_s: float = Field(
        default=60.0,
        ge=1,
        le=600,
        description="Longest time from the end of an exposure to the whole frame; then the camera counts as stuck.",
    )
    overscan: Literal["none", "row", "smooth"] = Field(
        default="smooth",
        description="What masters of frames with an overscan (BIASSEC in the driver's header) lose: the level of each "
        'line of the overscan, smoothed along the strip or as it is, and the strip itself; "none" leaves both, for '
        "programs that calibrate whole frames.",
    )


class PanelSettings(Section):
    """The flat panel, with or without a cover."""

    device: Name = Field(
        description="The panel as its INDI driver names it; of a light that you switch by hand, or on an MQTT broker, "
        "any name."
    )
    kind: Literal["indi", "mqtt", "manual"] = Field(
        default="indi",
        description='"mqtt" for a light of WLED, Tasmota, ESPHome or zigbee2mqtt, which [panel.mqtt] describes; '
        '"manual" for a light that nothing but your hand can switch: you are asked to, and the camera sees when it is '
        "done. Begin with the light off.",
    )
    mqtt: MqttPanelSettings | None = Field(
        default=None, description='Broker and topic of the light, as a table [panel.mqtt], where `kind` is "mqtt".'
    )
    manual_deadline_s: float = Field(
        default=1800.0, ge=1, le=43200, description="Longest wait for you to switch a light by hand."
    )
    cover_for_flats: Literal["closed", "open"] = Field(
        default="closed",
        description='Where the cover stands during flats, if there is one: "closed" where the lamp sits in the cover '
        '(Flip-Flat and its kin), "open" where a separate panel shines through the open cover.',
    )
    cover_at_end: Literal["closed", "open"] = Field(
        default="closed", description="Where the cover is left at the end of the night; closed keeps dust and dew away."
    )
    settle_s: float = Field(
        default=2.0, ge=0, le=120, description="Wait after switching the light or changing its brightness."
    )
    cover_deadline_s: float = Field(
        default=60.0, ge=1, le=600, description="Longest time that the cover may take to open or close."
    )

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        if self.kind == "mqtt" and self.mqtt is None:
            text = "missing; a panel of this kind has a table [panel.mqtt] with family and topic"
            raise ContradictionError([Contradiction(("mqtt",), text)])
        if self.kind != "mqtt" and self.mqtt is not None:
            text = f'found a table beside kind = "{self.kind}"; allowed: beside kind = "mqtt"'
            raise ContradictionError([Contradiction(("mqtt",), text)])
        return self


class WheelSettings(Section):
    """The filter wheel."""

    device: Name = Field(description="The wheel as its INDI driver names it.")
    names: DifferentNames | None = Field(
        default=None, description="Filter names in slot order, instead of the names that the driver has."
    )
    settle_s: float = Field(default=1.0, ge=0, le=120, description="Wait after a filter has arrived in the beam.")
    turn_deadline_s: float = Field(
        default=60.0, ge=1, le=600, description="Longest time that a change of filter may take."
    )


class AuxiliarySettings(Section):
    """A control of any other INDI device, such as a dew heater with a lamp, to switch off while it must be dark."""

    device: Name = Field(description="The device as its INDI driver names it.")
    property: Name = Field(description="The INDI property, such as `DEW_PWM`.")
    element: Name = Field(description="The number or switch in it.")
    off: float = Field(
        default=0.0,
        ge=-1e6,
        le=1e6,
        description="Its value during bias, darks and dark flats; of a switch 0 for off and 1 for on. "
        "At the end of the night it gets its old value back.",
    )
