"""Store the flat settings that tuning has found, for use on later nights. They are kept in a small JSON file."""

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from coldframe.calibration.files.durable import flush_folder
from coldframe.calibration.files.regular import read_regular
from coldframe.capture.tuner.panel_curve import PanelCurve
from coldframe.capture.tuner.tuner import KnownLight, Tuned
from coldframe.config.frames import ReadoutSettings

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class FlatKey(BaseModel):
    """Conditions for which a tuned flat is valid: camera, readout settings, filter and panel (None if absent)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    camera: str
    filter: str | None
    panel: str | None
    gain: float | None
    offset: float | None
    binning: int
    readout_mode: str | None

    @classmethod
    def of(cls, camera: str, filter_name: str | None, panel: str | None, settings: ReadoutSettings) -> Self:
        """Return the key for the given camera, filter, panel and readout settings."""
        return cls(
            camera=camera,
            filter=filter_name,
            panel=panel,
            gain=settings.gain,
            offset=settings.offset,
            binning=settings.binning,
            readout_mode=settings.readout_mode,
        )

    @property
    def camera_setting(self) -> "FlatKey":
        """The key without its filter and panel, for values that depend only on the camera and its settings."""
        return self.model_copy(update={"filter": None, "panel": None})


class LearnedFlat(BaseModel):
    """An exposure and a panel brightness that gave a good flat, with the measured light and saturation level.

    Attributes
    ----------
    rate_adu_per_s
        Signal of the brightest channel, ADU per second.
    faintest_part
        Signal of the faintest channel as a fraction of that of the brightest channel.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    exposure_s: Positive
    brightness: int | None
    rate_adu_per_s: Positive
    full_scale_adu: Positive
    faintest_part: float = Field(default=1.0, ge=0, le=1)
    learned_at: AwareDatetime

    @classmethod
    def from_tuned(cls, tuned: Tuned, at: datetime) -> Self:
        """Return the result of a tuning that ended at the given time, which must have a time zone."""
        return cls(
            exposure_s=tuned.exposure_s,
            brightness=tuned.brightness,
            rate_adu_per_s=tuned.rate_adu_per_s,
            full_scale_adu=tuned.target.full_scale_adu,
            faintest_part=tuned.target.faintest_part,
            learned_at=at,
        )

    @property
    def known_light(self) -> KnownLight:
        """The measured light, as the starting point of the next tuning."""
        return KnownLight(self.rate_adu_per_s, self.brightness, self.faintest_part)

    def light(self, curve: PanelCurve) -> float:
        """Return the light through the filter relative to the light of the panel, so that filters can be compared."""
        return self.rate_adu_per_s / curve.light(self.brightness or 1)


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    key: FlatKey
    flat: LearnedFlat


class _Contents(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: Literal["coldframe-learned-flats-1"] = "coldframe-learned-flats-1"
    flats: list[_Entry]


class LearnedFlats:
    """The learned settings; `load` reads them from a file and `save` writes them back.

    Attributes
    ----------
    problem
        Sentence that states why the file could not be used; None if the file was read or does not exist. The next
        `save` renames an unusable file instead of overwriting it.
    """

    def __init__(self, path: Path, flats: dict[FlatKey, LearnedFlat] | None = None, problem: str | None = None) -> None:
        self._path = path
        self._flats = dict(flats or {})
        self._earlier = dict(self._flats)
        self.problem = problem

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the settings from a file. If an existing file is unusable, set `problem` and start without settings."""
        try:
            contents = _Contents.model_validate_json(read_regular(path))
        except FileNotFoundError:
            return cls(path)
        except OSError as error:
            return cls(path, problem=f"{path} cannot be read ({error.strerror}): flats are tuned from scratch")
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            return cls(
                path,
                problem=f"{path} contains no valid flats ({where}: {first['msg']}): flats are tuned from scratch",
            )
        return cls(path, {entry.key: entry.flat for entry in contents.flats})

    def recall(self, key: FlatKey) -> LearnedFlat | None:
        """Return the flat that was learned for `key`, or None."""
        return self._flats.get(key)

    def alike(self, key: FlatKey) -> dict[str, LearnedFlat]:
        """Return the flats learned since the file was read, by filter, for the camera, settings and panel of `key`."""
        return _by_filter(
            key, {each: flat for each, flat in self._flats.items() if flat is not self._earlier.get(each)}
        )

    def alike_earlier(self, key: FlatKey) -> dict[str, LearnedFlat]:
        """Return the flats that the file contained, by filter, for the camera, settings and panel of `key`."""
        return _by_filter(key, self._earlier)

    def full_scale_adu(self, key: FlatKey) -> float | None:
        """Return the latest saturation level for the camera and settings of `key`, learned with any filter."""
        alike = [flat for other, flat in self._flats.items() if other.camera_setting == key.camera_setting]
        return max(alike, key=lambda flat: flat.learned_at).full_scale_adu if alike else None

    def remember(self, key: FlatKey, flat: LearnedFlat) -> None:
        """Store `flat` for `key`, replacing any earlier flat."""
        self._flats[key] = flat

    def save(self) -> None:
        """Write the file atomically, so that it contains either all old or all new settings even after a power cut.

        Raises
        ------
        OSError
            If the folder or the file cannot be written; the old file is kept.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        entries = [_Entry(key=key, flat=flat) for key, flat in self._flats.items()]
        temporary = self._path.with_name(f".{self._path.name}.part")
        try:
            with temporary.open("wb") as file:
                file.write(_Contents(flats=entries).model_dump_json(indent=2).encode())
                file.flush()
                os.fsync(file.fileno())
            self._put_broken_aside()
            temporary.replace(self._path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        flush_folder(self._path.parent)

    def _put_broken_aside(self) -> None:
        if self.problem is None or not self._path.exists():
            return
        numbered = (self._path.with_name(f"{self._path.name}.broken-{number}") for number in range(1, 1_000_000))
        self._path.rename(next(aside for aside in numbered if not aside.exists()))
        self.problem = None


def _by_filter(key: FlatKey, flats: Mapping[FlatKey, LearnedFlat]) -> dict[str, LearnedFlat]:
    return {
        each.filter: flat
        for each, flat in flats.items()
        if each.filter is not None and each.model_copy(update={"filter": key.filter}) == key
    }
