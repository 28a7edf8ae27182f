"""A simulated telescope whose calibration frames and lights have a known truth."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.files.durable import write_durably
from coldframe.calibration.files.frame_file import FrameEncoder
from coldframe.calibration.files.keywords import raw_cards
from coldframe.calibration.masters.flat_scaling import FlatScaler, flat_response
from coldframe.calibration.masters.master_frame import MasterFrame, master_name, write_master
from coldframe.calibration.stacking.accumulator import Accumulator
from coldframe.calibration.stacking.clipping import Clipping
from coldframe.calibration.stacking.stack import Stack
from coldframe.config.frames import FrameKind, ReadoutSettings
from coldframe.config.simulated_rig import load_rig
from coldframe.simulators.sensor import Exposure, Sensor

NIGHT = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
GAIN, OFFSET, SETPOINT_C = 100.0, 50.0, -10.0
FLAT_S, SKY_S = 1.0, 60.0
SKY_E_PER_S = 20.0
FLAT_LEVEL = 0.4
"""Mean level of flats, as a fraction of the highest value in files."""

Frames = Callable[[int], NDArray[np.uint16]]


@dataclass
class Observatory:
    """The sensor of a shipped rig, reduced in size, and the files that it produces."""

    rig: str = "small"
    width: int = 240
    height: int = 160

    @cached_property
    def sensor(self) -> Sensor:
        rig = load_rig(self.rig)
        size = {"width": self.width, "height": self.height, "row_noise_adu": 0.0, "overscan_columns": 0}
        return Sensor(rig.sensor.model_copy(update=size), rig.seed)

    @property
    def cfa(self) -> str | None:
        return self.sensor.model.cfa_pattern

    @property
    def settings(self) -> ReadoutSettings:
        return ReadoutSettings(gain=GAIN, offset=OFFSET)

    @property
    def e_per_adu(self) -> float:
        """Electrons per ADU in the files."""
        return self.sensor.e_per_adu(GAIN) / self.sensor.model.file_scale

    @property
    def flat_e_per_s(self) -> float:
        """The light of the panel."""
        return FLAT_LEVEL * self.sensor.model.saturation_adu * self.e_per_adu / FLAT_S

    @property
    def header(self) -> dict[str, HeaderValue]:
        """The driver's cards for every frame."""
        mosaic: dict[str, HeaderValue] = {"BAYERPAT": self.cfa} if self.cfa else {}
        return mosaic | {"EGAIN": self.e_per_adu, "TELESCOP": "Refractor", "FOCUSPOS": 5000, "ROTATANG": 12.5}

    @cached_property
    def response(self) -> NDArray[np.float64]:
        """The true flat, normalised to a mean of 1 in each colour."""
        response = self.sensor.flat_response(0).astype(np.float64)
        if self.cfa is None:
            return np.asarray(response / response.mean())
        for row in (0, 1):
            for column in (0, 1):
                response[row::2, column::2] /= response[row::2, column::2].mean()
        return response

    @property
    def sky_adu(self) -> NDArray[np.float64]:
        """The true calibrated light, which is the sky times the sensor's sensitivity to each colour."""
        per_response = self.sensor.flat_response(0) / self.response
        return np.asarray(SKY_E_PER_S * SKY_S * per_response / self.e_per_adu)

    def render(self, number: int, exposure_s: float, light_e_per_s: float) -> NDArray[np.uint16]:
        return self.sensor.render(
            Exposure(
                number=number,
                exposure_s=exposure_s,
                light_e_per_s=light_e_per_s,
                filter_slot=0,
                sensor_c=SETPOINT_C,
                gain=GAIN,
                offset=OFFSET,
            )
        )

    def dark_stack(self, count: int, exposure_s: float, first: int) -> Stack:
        return stacked(count, lambda number: self.render(first + number, exposure_s, 0))

    @cached_property
    def dark_flat(self) -> Stack:
        return self.dark_stack(40, FLAT_S, 20_000)

    def flat_stack(self, count: int = 40) -> tuple[Stack, NDArray[np.bool_]]:
        scaler = FlatScaler(self.dark_flat.mean, self.cfa)
        stack = stacked(count, lambda number: scaler.scale(self.render(30_000 + number, FLAT_S, self.flat_e_per_s)))
        return flat_response(stack, self.cfa)

    def masters(self, folder: Path) -> list[Path]:
        """Write a master bias, a dark with the lights' exposure, a dark with half that exposure, and a flat."""
        folder.mkdir(parents=True, exist_ok=True)
        flat, masked = self.flat_stack()
        bias = self.master(FrameKind.BIAS, self.dark_stack(60, 0.0, 1_000), 0.001)
        made = [
            bias,
            self.master(FrameKind.DARK, self.dark_stack(30, SKY_S, 10_000), SKY_S),
            self.master(FrameKind.DARK, self.dark_stack(30, SKY_S / 2, 15_000), SKY_S / 2),
            replace(self.master(FrameKind.FLAT, flat, FLAT_S), masked=masked, filter_name="L", subtracted="dark flat"),
        ]
        for master in made:
            write_master(folder / master_name(master), master)
        return [folder / master_name(master) for master in made]

    def master(self, kind: FrameKind, stack: Stack, exposure_s: float) -> MasterFrame:
        return MasterFrame(
            kind=kind,
            stack=stack,
            camera="Coldframe Camera",
            settings=self.settings,
            exposure_s=exposure_s,
            sensor_c=SETPOINT_C,
            setpoint_c=SETPOINT_C,
            filter_name=None,
            method=Clipping(),
            inputs=(),
            first_at=NIGHT,
            last_at=NIGHT + timedelta(hours=1),
            header=self.header,
        )

    def light(self, path: Path, number: int = 0, **changes: object) -> Path:
        """Write a light of the uniform sky."""
        values: dict[str, object] = {
            "kind": FrameKind.LIGHT,
            "exposure_s": SKY_S,
            "settings": self.settings,
            "sensor_c": SETPOINT_C,
            "setpoint_c": SETPOINT_C,
            "filter_name": "L",
            "camera": "Coldframe Camera",
            "started_at": NIGHT,
            "header": self.header,
        }
        cards = raw_cards(**(values | changes))  # type: ignore[arg-type]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, FrameEncoder().encode(self.render(50_000 + number, SKY_S, SKY_E_PER_S), cards))
        return path


def stacked(count: int, frames: Frames) -> Stack:
    first = frames(0).copy()
    height, width = first.shape
    state = Accumulator((height, width), count)
    state.add(first, b"0")
    for number in range(1, count):
        state.add(frames(number), str(number).encode())
    return state.combine(Clipping(), lambda pixels: (frames(number).reshape(-1)[pixels] for number in range(count)))
