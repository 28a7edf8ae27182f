"""What `combine`, `library add` and `inspect` print about the pixels of masters."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from coldframe.calibration.files.cards import Card
from coldframe.calibration.files.frame_file import FrameEncoder
from coldframe.calibration.library.adopting import Stated
from coldframe.calibration.masters.master_frame import MasterFrame, write_master
from coldframe.cli.combine import combine_files
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.inspection import inspect_file
from coldframe.cli.library import add_masters
from coldframe.config.frames import FrameKind
from coldframe.operations.combining import Request
from tests.calibration.diagnosis import faults, headers
from tests.calibration.diagnosis.nights import Simulated, draw, simulate

SIZE = (320, 480)


def master_of(simulated: Simulated, kind: FrameKind) -> MasterFrame:
    return next(each for each in simulated.masters.frames if each.kind is kind)


def test_inspect_warns_of_a_dark_without_hot_pixels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for fault, is_warned in ((faults.cold_dark(), True), (faults.none(), False)):
        path = tmp_path / f"{fault.name}.fits"
        write_master(path, master_of(simulate(draw(3, lights=1, size=SIZE), fault), FrameKind.DARK))
        assert inspect_file(path, None) is ExitCode.DONE
        captured = capsys.readouterr()
        assert ("warning: the dark has no hot pixels" in captured.err) is is_warned
        assert "to the noise of a" in captured.out


def test_add_compares_a_flat_with_the_previous_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    library = tmp_path / "library"
    old = master_of(simulate(draw(3, lights=1, size=SIZE)), FrameKind.FLAT)
    assert old.first_at is not None
    assert old.last_at is not None
    day = timedelta(days=1)
    y, x = np.ogrid[: SIZE[0], : SIZE[1]]
    shadow = np.where((y - 150) ** 2 + (x - 200) ** 2 < 20**2, 0.95, 1).astype(np.float32)
    newer = replace(
        old,
        stack=replace(old.stack, mean=old.stack.mean * shadow),
        first_at=old.first_at + day,
        last_at=old.last_at + day,
    )
    for name, master in (("old.fits", old), ("new.fits", newer)):
        write_master(tmp_path / name, master)
    assert add_masters(library, [str(tmp_path / "old.fits")], Stated()) is ExitCode.DONE
    assert capsys.readouterr().err == ""
    assert add_masters(library, [str(tmp_path / "new.fits")], Stated()) is ExitCode.DONE
    assert "a dust shadow has appeared since the previous flat" in capsys.readouterr().err


def test_combine_finds_dew_that_dries(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    night = draw(3, lights=1, size=SIZE, flats=12)
    simulated = simulate(night, faults.dew(0.02))
    dark = tmp_path / "MasterDarkFlat.fits"
    write_master(dark, master_of(simulated, FrameKind.DARK_FLAT))
    names = []
    for number, frame in enumerate(simulated.raw(FrameKind.FLAT, night.flats)):
        said = headers.header(
            night.program,
            FrameKind.FLAT,
            exposure_s=night.flat_exposure_s,
            sensor_c=night.sensor_c,
            setpoint_c=night.sensor_c,
            gain=night.gain,
            offset=night.offset,
            e_per_adu=night.e_per_adu,
            mosaic=None,
            filter_name=night.filter_name,
            focus=night.focus,
            rotation_deg=night.rotation_deg,
            minutes=number,
        )
        # The names are not in the order of the exposures.
        path = tmp_path / f"flat_{(7 * number) % 12:02d}.fits"
        cards = [Card(keyword, value) for keyword, value in said.items()]
        path.write_bytes(b"".join(bytes(piece) for piece in FrameEncoder().encode(frame, cards)))
        names.append(str(path))
    output = tmp_path / "MasterFlat.fits"
    assert combine_files(names, output, Request(dark=dark)) is ExitCode.DONE
    captured = capsys.readouterr()
    assert "warning: a spot became brighter while the flats were being shot" in captured.err
    assert "smoothed" not in captured.err
    assert "corners receive" in captured.out
