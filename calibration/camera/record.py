"""Records of the measured figures of a camera, in small JSON files.

::

    cameras/ZWO-ASI2600MM/G100_O50_1x1_20261122T041233.json      one file per night and setting; never changed

The newest value of each figure is used. For dark currents, the values of all nights are used, because they were
measured at different temperatures.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from coldframe.calibration.camera.photon_transfer import Measured, doubling_temperature_c
from coldframe.calibration.files.durable import make_folder_durably, write_durably
from coldframe.calibration.files.naming import name_part, settings_text
from coldframe.calibration.files.regular import read_regular
from coldframe.config.frames import FrameKind, ReadoutSettings

CAMERAS = "cameras"
"""Name of the folder of camera records inside the storage folder."""

NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class RecordPart(BaseModel):
    """Base class for the components of a record; the components are immutable and forbid unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Figure(RecordPart):
    """A value and its standard error, in the same unit."""

    value: Positive
    error: NotNegative

    @classmethod
    def of(cls, measured: Measured) -> Self:
        """Return a measurement as a figure."""
        return cls(value=measured.value, error=measured.error)


class CurvePoint(RecordPart):
    """A point of the photon transfer curve: signal above the dark, and temporal noise of a pixel, both in ADU."""

    signal_adu: Positive
    noise_adu: Positive


class LinearityPoint(RecordPart):
    """A signal above the dark, ADU, and its relative deviation, with error, from a linear fit of signal to exposure."""

    signal_adu: Positive
    deviation: Finite
    error: NotNegative = 0.0


class DarkCurrent(RecordPart):
    """Dark current of ordinary pixels at one sensor temperature."""

    sensor_c: Finite
    exposure_s: Positive
    e_per_s: Finite
    error: NotNegative


class CameraRecord(RecordPart):
    """Figures measured in one night for one camera setting; figures that were not measured are None or empty.

    Attributes
    ----------
    e_per_adu
        Gain: electrons per ADU of the files.
    read_noise_e
        Read noise of the shortest exposure in electrons, excluding noise common to a row.
    read_noise_below_e
        Upper limit on the read noise, in electrons, if the rounding of the ADC hides it; `read_noise_e` is then None.
    bias_adu
        Level of the shortest exposure, ADU.
    saturation_adu
        Level at which pixels clip, ADU.
    curve, linearity, dark_current
        Measured points, in no particular order.
    """

    format: Literal["coldframe-camera-1"] = "coldframe-camera-1"
    camera: str
    gain: float | None
    offset: float | None
    binning: int
    readout_mode: str | None
    measured_at: AwareDatetime
    e_per_adu: Figure | None = None
    read_noise_e: Figure | None = None
    read_noise_below_e: Positive | None = None
    bias_adu: NotNegative | None = None
    saturation_adu: Figure | None = None
    curve: tuple[CurvePoint, ...] = ()
    linearity: tuple[LinearityPoint, ...] = ()
    dark_current: tuple[DarkCurrent, ...] = ()

    @property
    def readout(self) -> ReadoutSettings:
        """Readout settings of the record."""
        return ReadoutSettings(self.gain, self.offset, self.binning, self.readout_mode)

    @property
    def full_well_e(self) -> Figure | None:
        """Electrons between bias level and saturation, whether the pixel or the ADC saturates first."""
        if self.saturation_adu is None or self.bias_adu is None or self.e_per_adu is None:
            return None
        signal_adu = self.saturation_adu.value - self.bias_adu
        if signal_adu <= 0:
            return None
        relative = self.saturation_adu.error / signal_adu + self.e_per_adu.error / self.e_per_adu.value
        value = signal_adu * self.e_per_adu.value
        return Figure(value=value, error=value * relative)

    @property
    def largest_deviation(self) -> float | None:
        """Largest relative deviation from linearity."""
        return max((abs(point.deviation) for point in self.linearity), default=None)

    @property
    def deviation_error(self) -> float:
        """Largest relative error of a deviation from linearity; 0 if it is unknown."""
        return max((point.error for point in self.linearity), default=0.0)

    @property
    def doubling_c(self) -> float | None:
        """Temperature difference that doubles the dark current, degrees Celsius."""
        points = self.dark_current
        return doubling_temperature_c([each.sensor_c for each in points], [each.e_per_s for each in points])


@dataclass(frozen=True, slots=True)
class CameraRecords:
    """The folder of all camera records.

    Attributes
    ----------
    folder
        Folder `CAMERAS` next to the folders of the nights; it need not exist.
    """

    folder: Path

    def save(self, record: CameraRecord) -> Path:
        """Write a record durably and return its path.

        Raises
        ------
        NotDurableError
            If the record cannot be written.
        """
        folder = self.folder / name_part(record.camera)
        settings = settings_text(FrameKind.BIAS, record.readout, 0.0, None, None)
        path = folder / f"{settings}_{record.measured_at:%Y%m%dT%H%M%S}.json"
        make_folder_durably(folder)
        write_durably(path, [record.model_dump_json(indent=2).encode()])
        return path

    def load(self) -> tuple[list[CameraRecord], list[str]]:
        """Return all records, oldest first, and a message about each unusable file."""
        records, problems = [], []
        for path in sorted(self.folder.glob("*/*.json")):
            try:
                records.append(CameraRecord.model_validate_json(read_regular(path)))
            except OSError as error:
                problems.append(f"{path} cannot be read ({error.strerror})")
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                where = ".".join(map(str, first["loc"])) or "the file"
                problems.append(f"{path} is not a camera record ({where}: {first['msg']})")
        return sorted(records, key=lambda record: record.measured_at), problems

    def known(self, camera: str, readout: ReadoutSettings) -> CameraRecord | None:
        """Return the merged record of a camera with the given settings, or None if no record exists."""
        records, _ = self.load()
        mine = [record for record in records if record.camera == camera and record.readout == readout]
        return merged(mine) if mine else None


def merged(records: Sequence[CameraRecord]) -> CameraRecord:
    """Merge records with the same camera and settings, ordered from the oldest to the newest.

    The newest value of each figure is used. For dark currents, the newest value for each temperature and exposure is
    used.
    """
    newest: dict[str, object] = {}
    for record in records:
        if record.read_noise_e is not None or record.read_noise_below_e is not None:
            newest |= {"read_noise_e": None, "read_noise_below_e": None}
        newest |= {name: value for name, value in record if value is not None and value != ()}
    currents = {(round(each.sensor_c), each.exposure_s): each for record in records for each in record.dark_current}
    newest["dark_current"] = tuple(currents.values())
    return records[-1].model_copy(update=newest)


def by_setting(records: Iterable[CameraRecord]) -> list[list[CameraRecord]]:
    """Return the records grouped by camera and settings, in the given order."""
    groups: dict[tuple[str, ReadoutSettings], list[CameraRecord]] = {}
    for record in records:
        groups.setdefault((record.camera, record.readout), []).append(record)
    return list(groups.values())
