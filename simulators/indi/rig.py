"""The simulated rig as INDI devices that behave like libindi's base classes."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from coldframe.config.frames import FrameKind
from coldframe.config.simulated_rig import SimulatedRig
from coldframe.simulators.cards import CAMERA_NAME, PANEL_NAME, WHEEL_NAME, driver_cards
from coldframe.simulators.fits import MemoryFile, fits_file
from coldframe.simulators.indi.device import INFO_GROUP, MAIN_GROUP, OPTIONS_GROUP, IndiDevice, Publish
from coldframe.simulators.indi.header import ClientCards
from coldframe.simulators.indi.properties import (
    Blob,
    Number,
    Permission,
    RefusedError,
    Rule,
    State,
    Switch,
    Text,
    Value,
    Vector,
)
from coldframe.simulators.indi.requests import NewVector
from coldframe.simulators.indi.rotator import IndiRotator
from coldframe.simulators.optics import Telescope
from coldframe.simulators.panel import Panel
from coldframe.simulators.sensor import Exposure
from coldframe.simulators.wheel import Wheel

IMAGE_GROUP = "Image Settings"
IMAGE_INFO_GROUP = "Image Info"
WHEEL_GROUP = "Filter Wheel"

# Bits of DRIVER_INTERFACE, from libindi's basedevice.h.
INTERFACE_CCD = 1 << 1
INTERFACE_FILTER = 1 << 4
INTERFACE_DUST_CAP = 1 << 9
INTERFACE_LIGHT_BOX = 1 << 10

FRAME_KINDS = {
    "FRAME_LIGHT": FrameKind.LIGHT,
    "FRAME_BIAS": FrameKind.BIAS,
    "FRAME_DARK": FrameKind.DARK,
    "FRAME_FLAT": FrameKind.FLAT,
}

REACHED_C = 0.2
"""Maximum deviation from the setpoint at which the setpoint counts as reached, in degrees Celsius."""


def indi_devices(rig: SimulatedRig, tasks: asyncio.TaskGroup, publish: Publish) -> list[IndiDevice]:
    """Build the INDI devices of a rig. Call this function within the event loop that will run them."""
    telescope = Telescope(rig, asyncio.get_running_loop().time())
    devices: list[IndiDevice] = [_camera(telescope, tasks, publish)]
    if rig.panel.mqtt is None:
        devices.append(IndiFlatPanel(telescope.panel, tasks, publish))
    else:
        from coldframe.simulators.mqtt_light import light_of  # noqa: PLC0415  # an MQTT client, which few rigs need

        tasks.create_task(light_of(rig.panel.mqtt, telescope.panel).run(), name="simulated MQTT light")
    if telescope.wheel:
        devices.append(IndiFilterWheel(telescope.wheel, tasks, publish))
    if telescope.rotator:
        devices.append(IndiRotator(telescope.rotator, tasks, publish))
    return devices


def _camera(telescope: Telescope, tasks: asyncio.TaskGroup, publish: Publish) -> IndiDevice:
    if telescope.rig.dslr is None:
        return IndiCamera(telescope, tasks, publish)
    from coldframe.simulators.indi.dslr import IndiDslr  # noqa: PLC0415  # it is derived from the camera below

    return IndiDslr(telescope, telescope.rig.dslr, tasks, publish)


class IndiCamera(IndiDevice):
    """The camera as an INDI device.

    Ekos selects a frame type by the label of its switch, so the labels are those of libindi's base class.
    """

    def __init__(self, telescope: Telescope, tasks: asyncio.TaskGroup, publish: Publish) -> None:
        super().__init__(CAMERA_NAME, INTERFACE_CCD, tasks, publish)
        self._telescope = telescope
        self._exposing: asyncio.Task[None] | None = None
        self._polling.set({"PERIOD_MS": 1000 * telescope.rig.timing.polling_s})
        self._add_exposure()
        self._add_geometry()
        self._add_transfer()
        self._add_cooler()
        self._add_controls()

    def _add_exposure(self) -> None:
        timing = self._telescope.rig.timing
        limits_s = timing.shortest_exposure_s, timing.longest_exposure_s
        seconds = Number("CCD_EXPOSURE_VALUE", 1.0, *limits_s, 0.001, "%.6f", "Duration (s)")
        self._exposure = self.add(Vector("CCD_EXPOSURE", "Expose", MAIN_GROUP, seconds), self._start_exposure)
        self._abort = self.add(
            Vector("CCD_ABORT_EXPOSURE", "Abort", MAIN_GROUP, Switch("ABORT", label="Abort"), rule=Rule.AT_MOST_ONE),
            self._abort_exposure,
        )
        kinds = [
            Switch(name, "On" if kind is FrameKind.LIGHT else "Off", kind.value.title())
            for name, kind in FRAME_KINDS.items()
        ]
        self._kind = self.add(Vector("CCD_FRAME_TYPE", "Type", IMAGE_GROUP, *kinds))

    def _add_geometry(self) -> None:
        sensor = self._telescope.rig.sensor
        info = [
            Number("CCD_MAX_X", sensor.width, label="Max. Width"),
            Number("CCD_MAX_Y", sensor.height, label="Max. Height"),
            Number("CCD_PIXEL_SIZE", sensor.pixel_um, label="Pixel size (um)"),
            Number("CCD_PIXEL_SIZE_X", sensor.pixel_um, label="Pixel size X"),
            Number("CCD_PIXEL_SIZE_Y", sensor.pixel_um, label="Pixel size Y"),
            Number("CCD_BITSPERPIXEL", 16, label="Bits per pixel"),
        ]
        self.add(Vector("CCD_INFO", "CCD Information", IMAGE_INFO_GROUP, *info, permission=Permission.READ_ONLY))
        bits = Number("BITS", sensor.bit_depth, label="Bits")
        self.add(Vector("ADC_DEPTH", "ADC Depth", IMAGE_INFO_GROUP, bits, permission=Permission.READ_ONLY))
        edges = [
            Number("X", 0, 0, sensor.width - 1, 1, "%.0f", "Left "),  # libindi's label ends with a space
            Number("Y", 0, 0, sensor.height - 1, 1, "%.0f", "Top"),
            Number("WIDTH", sensor.width, 1, sensor.width, 1, "%.0f", "Width"),
            Number("HEIGHT", sensor.height, 1, sensor.height, 1, "%.0f", "Height"),
        ]
        self._region = self.add(Vector("CCD_FRAME", "Frame", IMAGE_GROUP, *edges), self._set_region)
        reset = Switch("RESET", label="Reset")
        self._reset = self.add(
            Vector("CCD_FRAME_RESET", "Frame Values", IMAGE_GROUP, reset, permission=Permission.WRITE_ONLY),
            self._reset_region,
        )
        axes = {"HOR_BIN": "X", "VER_BIN": "Y"}
        bins = [Number(name, 1, 1, sensor.maximum_binning, 1, "%.0f", axis) for name, axis in axes.items()]
        self._binning = self.add(Vector("CCD_BINNING", "Binning", IMAGE_GROUP, *bins), self._set_binning)
        if sensor.cfa_pattern:
            cfa = [
                Text("CFA_OFFSET_X", "0", "X Offset"),
                Text("CFA_OFFSET_Y", "0", "Y Offset"),
                Text("CFA_TYPE", sensor.cfa_pattern, "Filter"),
            ]
            self.add(Vector("CCD_CFA", "Bayer Info", IMAGE_INFO_GROUP, *cfa, permission=Permission.READ_ONLY))

    def _add_transfer(self) -> None:
        self._image = self.add(
            Vector("CCD1", "Image Data", IMAGE_INFO_GROUP, Blob("CCD1", label="Image"), permission=Permission.READ_ONLY)
        )
        formats = Switch("FORMAT_FITS", "On", "FITS"), Switch("FORMAT_NATIVE", label="Native")
        self._add_fixed(Vector("CCD_TRANSFER_FORMAT", "Encode", IMAGE_GROUP, *formats, state=State.OK))
        compression = Switch("INDI_ENABLED", label="Enabled"), Switch("INDI_DISABLED", "On", "Disabled")
        self._add_fixed(Vector("CCD_COMPRESSION", "Compression", IMAGE_GROUP, *compression, state=State.OK))
        targets = Switch("UPLOAD_CLIENT", "On", "Client"), Switch("UPLOAD_LOCAL", label="Local")
        both = Switch("UPLOAD_BOTH", label="Both")
        self._add_fixed(Vector("UPLOAD_MODE", "Upload", OPTIONS_GROUP, *targets, both, state=State.OK))
        self._client_cards = ClientCards()
        header = Vector(
            "FITS_HEADER", "FITS Header", INFO_GROUP, *ClientCards.elements(), permission=Permission.WRITE_ONLY
        )
        self._header = self.add(header, self._take_card)

    def _take_card(self, values: Mapping[str, Value]) -> None:
        self._client_cards.take(values)
        self.report(self._header, State.OK)

    def _add_fixed(self, vector: Vector) -> None:
        """Add a switch vector that real drivers have. This rig supports only the element that is on."""
        only = vector.selected
        assert only is not None

        def choose(values: Mapping[str, Value]) -> None:
            if values.get(only) != "On":
                raise RefusedError(f"{vector.name}: the simulated camera supports only {only}")
            self.report(vector, State.OK)

        self.add(vector, choose)

    def _add_cooler(self) -> None:
        model = self._telescope.rig.cooler
        lowest_c = model.minimum_setpoint_c if model else -100
        now_c = self._telescope.rig.ambient_c
        reading = Number("CCD_TEMPERATURE_VALUE", now_c, lowest_c, 40, 0, "%.2f", "Temperature (C)")
        permission = Permission.READ_WRITE if model else Permission.READ_ONLY
        self._temperature = self.add(
            Vector("CCD_TEMPERATURE", "Temperature", MAIN_GROUP, reading, permission=permission), self._set_temperature
        )
        states = Switch("COOLER_ON", label="ON"), Switch("COOLER_OFF", "On", "OFF")
        self._cooler = Vector("CCD_COOLER", "Cooler", MAIN_GROUP, *states)
        self._power = Vector(
            "CCD_COOLER_POWER",
            "Cooling Power",
            MAIN_GROUP,
            Number("CCD_COOLER_VALUE", 0, 0, 100, 1, "%.0f", "Power (%)"),
            permission=Permission.READ_ONLY,
        )
        if model:
            self.add(self._cooler, self._switch_cooler)
            self.add(self._power)

    def _add_controls(self) -> None:
        sensor = self._telescope.rig.sensor
        self._controls: Vector | None = None
        controls = []
        if sensor.gain:
            controls.append(Number("Gain", sensor.gain.default, 0, sensor.gain.maximum, 1, "%.0f"))
        if sensor.offset:
            controls.append(Number("Offset", sensor.offset.default, 0, sensor.offset.maximum, 1, "%.0f"))
        if controls:
            self._controls = self.add(Vector("CCD_CONTROLS", "Controls", MAIN_GROUP, *controls, state=State.OK))
        self._read_mode: Vector | None = None
        if sensor.readout_modes:
            modes = [Switch(mode.label) for mode in sensor.readout_modes]
            modes[0].value = "On"
            self._read_mode = self.add(Vector("READ_MODE", "Read Mode", MAIN_GROUP, *modes, state=State.OK))

    def change(self, request: NewVector) -> None:
        """Change a property as requested. Like libindi's base class, use the shortest exposure for any bias frame."""
        if request.name == self._exposure.name and self._kind.selected == "FRAME_BIAS":
            shortest_s = self._telescope.rig.timing.shortest_exposure_s
            request = replace(request, values={"CCD_EXPOSURE_VALUE": str(shortest_s)})
        super().change(request)

    def _start_exposure(self, values: Mapping[str, Value]) -> None:
        if self._exposing:
            self._exposing.cancel()
        kind = FRAME_KINDS[self._kind.selected or "FRAME_LIGHT"]
        self._exposing = self.start(self._expose(kind, float(values["CCD_EXPOSURE_VALUE"])))

    def _abort_exposure(self, _: Mapping[str, Value]) -> None:
        if self._exposing:
            self._exposing.cancel()
        self._exposure.set({"CCD_EXPOSURE_VALUE": 0.0})
        self.report(self._exposure, State.IDLE)
        self.report(self._abort, State.OK)

    async def _expose(self, kind: FrameKind, exposure_s: float) -> None:
        started_at, started_s = datetime.now(UTC), loop_time_s()
        shot = self._begin(kind, exposure_s, started_s)
        self._exposure.set({"CCD_EXPOSURE_VALUE": exposure_s})
        self.report(self._exposure, State.BUSY)
        async with asyncio.TaskGroup() as darkroom:
            developing = darkroom.create_task(asyncio.to_thread(self._telescope.render, shot))
            await self._count_down(started_s + exposure_s)
        async with asyncio.TaskGroup() as darkroom:
            pixels = self._cropped(developing.result(), shot.binning)
            writing = darkroom.create_task(asyncio.to_thread(self._file, pixels, kind, shot, started_at))
            await _sleep_until(started_s + exposure_s + self._telescope.readout_s(shot.readout_mode))
        file_format, file = writing.result()
        self.send(self._image, "CCD1", file_format, file)
        self._exposure.set({"CCD_EXPOSURE_VALUE": 0.0})
        self.report(self._exposure, State.OK)

    def _begin(self, kind: FrameKind, exposure_s: float, started_s: float) -> Exposure:
        sensor = self._telescope.rig.sensor
        mode = list(self._read_mode.elements).index(self._read_mode.selected or "") if self._read_mode else 0
        return self._telescope.begin(
            kind,
            exposure_s,
            started_s,
            gain=self._controls.number("Gain") if self._controls and sensor.gain else 0.0,
            offset=self._controls.number("Offset") if self._controls and sensor.offset else 0.0,
            binning=int(self._binning.number("HOR_BIN")),
            readout_mode=mode,
        )

    async def _count_down(self, end_s: float) -> None:
        while (left_s := end_s - loop_time_s()) > self.polling_s:
            await asyncio.sleep(min(self.polling_s, left_s))
            self._exposure.set({"CCD_EXPOSURE_VALUE": max(end_s - loop_time_s(), 0.0)})
            self.report(self._exposure, State.BUSY)
        await _sleep_until(end_s)

    def _file(
        self, pixels: NDArray[np.uint16], kind: FrameKind, shot: Exposure, started_at: datetime
    ) -> tuple[str, MemoryFile]:
        """Return the format and the file of the BLOB."""
        reading_c = self._temperature.number("CCD_TEMPERATURE_VALUE")
        cards = driver_cards(self._telescope.rig, kind, shot, started_at, reading_c)
        return ".fits", fits_file(pixels, cards | self._client_cards.cards)

    def _cropped(self, pixels: NDArray[np.uint16], binning: int) -> NDArray[np.uint16]:
        left, top, width, height = (int(self._region.number(edge)) // binning for edge in self._region.elements)
        return pixels[top : top + height, left : left + width]

    def _set_region(self, values: Mapping[str, Value]) -> None:
        left, top, width, height = (int(values.get(edge, self._region[edge])) for edge in ("X", "Y", "WIDTH", "HEIGHT"))
        sensor = self._telescope.rig.sensor
        if left + width > sensor.width or top + height > sensor.height:
            raise RefusedError(f"CCD_FRAME: the region exceeds the sensor's {sensor.width} x {sensor.height} pixels")
        self._region.set({"X": left, "Y": top, "WIDTH": width, "HEIGHT": height})
        self.report(self._region, State.OK)

    def _reset_region(self, _: Mapping[str, Value]) -> None:
        sensor = self._telescope.rig.sensor
        self._region.set({"X": 0, "Y": 0, "WIDTH": sensor.width, "HEIGHT": sensor.height})
        self.report(self._region, State.OK)
        self.report(self._reset, State.OK)

    def _set_binning(self, values: Mapping[str, Value]) -> None:
        across = int(values.get("HOR_BIN", self._binning["HOR_BIN"]))
        if across != int(values.get("VER_BIN", across)):
            raise RefusedError("CCD_BINNING: the binning must be the same along both axes")
        self._binning.set({"HOR_BIN": across, "VER_BIN": across})
        self.report(self._binning, State.OK)

    def _set_temperature(self, values: Mapping[str, Value]) -> None:
        cooler = self._telescope.cooler
        assert cooler is not None, "the property is read-only without a cooler"
        cooler.advance(loop_time_s())
        cooler.cool_to(float(values["CCD_TEMPERATURE_VALUE"]))
        self._cooler.select("COOLER_ON")
        self.report(self._cooler, State.BUSY)
        self._refresh_temperature()

    def _switch_cooler(self, values: Mapping[str, Value]) -> None:
        cooler = self._telescope.cooler
        assert cooler is not None, "the property is absent without a cooler"
        cooler.advance(loop_time_s())
        if values.get("COOLER_ON") != "On":
            cooler.switch_off()
        elif cooler.setpoint_c is None:
            cooler.cool_to(cooler.sensor_c)
        self._cooler.select("COOLER_OFF" if cooler.setpoint_c is None else "COOLER_ON")
        self.report(self._cooler, State.IDLE if cooler.setpoint_c is None else State.BUSY)
        self._refresh_temperature()

    async def poll(self) -> None:
        """Report the temperature periodically."""
        while True:
            self._refresh_temperature()
            await asyncio.sleep(self.polling_s)

    def _refresh_temperature(self) -> None:
        sensor_c, cooler, state = self._telescope.sensor_c(loop_time_s()), self._telescope.cooler, State.IDLE
        if cooler:
            sensor_c = cooler.reading_c
            self._power.set({"CCD_COOLER_VALUE": round(cooler.power_percent, 1)})
            self.report(self._power, State.IDLE if cooler.setpoint_c is None else State.BUSY)
            if cooler.setpoint_c is not None:
                state = State.OK if abs(sensor_c - cooler.setpoint_c) <= REACHED_C else State.BUSY
        self._temperature.set({"CCD_TEMPERATURE_VALUE": round(sensor_c, 2)})
        self.report(self._temperature, state)


class IndiFlatPanel(IndiDevice):
    """The flat panel, which is also a dust cap if it has a cover."""

    def __init__(self, panel: Panel, tasks: asyncio.TaskGroup, publish: Publish) -> None:
        self._has_cover = panel.model.cover_travel_s is not None
        interface = INTERFACE_LIGHT_BOX | (INTERFACE_DUST_CAP if self._has_cover else 0)
        super().__init__(PANEL_NAME, interface, tasks, publish)
        self._panel = panel
        self._moving: asyncio.Task[None] | None = None
        light = Switch("FLAT_LIGHT_ON", label="On"), Switch("FLAT_LIGHT_OFF", "On", "Off")
        self._light = self.add(Vector("FLAT_LIGHT_CONTROL", "Flat Light", MAIN_GROUP, *light), self._switch_light)
        brightness = Number("FLAT_LIGHT_INTENSITY_VALUE", 0, 0, panel.model.brightness_maximum, 1, "%.0f", "Value")
        self._intensity = self.add(
            Vector("FLAT_LIGHT_INTENSITY", "Brightness", MAIN_GROUP, brightness), self._set_brightness
        )
        if self._has_cover:
            park = Switch("PARK", "On", "Park"), Switch("UNPARK", label="Unpark")
            self._cover = self.add(Vector("CAP_PARK", "Dust Cover", MAIN_GROUP, *park, state=State.OK), self._park)

    def _switch_light(self, values: Mapping[str, Value]) -> None:
        self._panel.lit = values.get("FLAT_LIGHT_ON") == "On"
        self._light.select("FLAT_LIGHT_ON" if self._panel.lit else "FLAT_LIGHT_OFF")
        self.report(self._light, State.OK)

    def _set_brightness(self, values: Mapping[str, Value]) -> None:
        self._panel.brightness = int(values["FLAT_LIGHT_INTENSITY_VALUE"])
        self._intensity.set({"FLAT_LIGHT_INTENSITY_VALUE": self._panel.brightness})
        self.report(self._intensity, State.OK)

    def _park(self, values: Mapping[str, Value]) -> None:
        closed = values.get("PARK") == "On"
        arrival_s = self._panel.move_cover(loop_time_s(), closed=closed)
        self._cover.select("PARK" if closed else "UNPARK")
        self.report(self._cover, State.BUSY)
        if self._moving:
            self._moving.cancel()
        self._moving = self.start(self._arrive(arrival_s))

    async def _arrive(self, arrival_s: float) -> None:
        await _sleep_until(arrival_s)
        self.report(self._cover, State.OK)


class IndiFilterWheel(IndiDevice):
    """The filter wheel."""

    def __init__(self, wheel: Wheel, tasks: asyncio.TaskGroup, publish: Publish) -> None:
        super().__init__(WHEEL_NAME, INTERFACE_FILTER, tasks, publish)
        self._wheel = wheel
        self._turning: asyncio.Task[None] | None = None
        slots = len(wheel.model.filters)
        slot = Number("FILTER_SLOT_VALUE", 1, 1, slots, 1, "%.0f", "Filter")
        self._slot = self.add(Vector("FILTER_SLOT", "Filter Slot", WHEEL_GROUP, slot, state=State.OK), self._turn)
        names = [
            Text(f"FILTER_SLOT_NAME_{i}", each.name, f"Filter#{i}")
            for i, each in enumerate(wheel.model.filters, start=1)
        ]
        self.add(Vector("FILTER_NAME", "Filter", WHEEL_GROUP, *names, permission=Permission.READ_ONLY, state=State.OK))

    def _turn(self, values: Mapping[str, Value]) -> None:
        arrival_s = self._wheel.turn_to(int(values["FILTER_SLOT_VALUE"]) - 1, loop_time_s())
        self.report(self._slot, State.BUSY)
        if self._turning:
            self._turning.cancel()
        self._turning = self.start(self._arrive(arrival_s))

    async def _arrive(self, arrival_s: float) -> None:
        await _sleep_until(arrival_s)
        self._slot.set({"FILTER_SLOT_VALUE": self._wheel.target + 1})
        self.report(self._slot, State.OK)


def loop_time_s() -> float:
    """Return the time on the running loop's clock."""
    return asyncio.get_running_loop().time()


async def _sleep_until(time_s: float) -> None:
    await asyncio.sleep(time_s - loop_time_s())
