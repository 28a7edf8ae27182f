"""States on disk, which are saved, read back, merged, extended, and checked for damage."""

import hashlib
import json
import os
import resource
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from coldframe.calibration.combining import state_file
from coldframe.calibration.combining.state_file import MAGIC, StateFileError, read_state, write_state
from coldframe.calibration.files.durable import Buffer, NotDurableError, replace_durably
from coldframe.cli.combine import combine_files
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.terminal import visible_output
from coldframe.operations.combining import Choice, Request, chosen_method
from coldframe.operations.set_master import Treatment

SHAPE = (24, 40)
OUTLIERS = {**dict.fromkeys(range(4), 50000), 4: 5000, 5: 5000, 6: 600, 7: 600, 8: 120, 9: 120}
"""Outliers by frame number, ADU. Clipping finds each group after the previous one; a state keeps eight values."""

CLIPPED = Choice("sigma-clip", "mean", "trimmed", 3.0)


def shoot(folder: Path, numbers: Sequence[int], **cards: object) -> list[str]:
    """Write dark frames; two pixels have more outliers than a state keeps."""
    folder.mkdir(exist_ok=True)
    header = {"IMAGETYP": "Dark", "EXPTIME": 60.0, "GAIN": 100, "INSTRUME": "Camera", "SET-TEMP": -10.0, **cards}
    paths = []
    for number in numbers:
        pixels = np.random.default_rng(number).normal(500, 9, SHAPE).round().astype(np.uint16)
        pixels[3, 7:9] += OUTLIERS.get(number, 0)
        moment = f"2026-11-22T03:{number // 60:02d}:{number % 60:02d}"
        path = folder / f"dark-{number:03d}.fits"
        fits.PrimaryHDU(pixels, fits.Header([*header.items(), ("DATE-OBS", moment)])).writeto(path)
        paths.append(str(path))
    return paths


def combine(names: Sequence[str], output: Path, *states: Path, choice: Choice = CLIPPED, **more: Any) -> ExitCode:
    return combine_files(names, output, Request(Treatment(chosen_method(choice)), states=states, **more))


def coarse(names: Sequence[str]) -> None:
    """Convert frames to 12 bits, spread over 16."""
    for name in names:
        with fits.open(name, mode="update") as units:
            units[0].data = np.minimum(units[0].data, 4095) // 4 * 16


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("method", ["sigma-clip", "mean"])
def test_a_growing_set_gives_the_master_of_all_frames(tmp_path: Path, method: Any, bits: int) -> None:
    choice = CLIPPED._replace(method=method)
    names, state = shoot(tmp_path / "raw", range(45)), tmp_path / "darks.state"
    if bits == 12:
        coarse(names)
    assert combine(names[:11], tmp_path / "first.fits", state, choice=choice) == ExitCode.DONE
    assert combine(names[11:30], tmp_path / "second.fits", state, choice=choice) == ExitCode.DONE
    assert combine(names[30:], tmp_path / "grown.fits", state, choice=choice) == ExitCode.DONE
    assert combine(names, tmp_path / "whole.fits", choice=choice) == ExitCode.DONE
    assert (tmp_path / "grown.fits").read_bytes() == (tmp_path / "whole.fits").read_bytes()
    assert fits.getheader(tmp_path / "second.fits")["STACKCNT"] == 30
    if method == "sigma-clip":
        assert fits.getheader(tmp_path / "grown.fits")["CFFLOOR"] == (8 if bits == 12 else 0.5)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "darks.state", "first.fits", "grown.fits", "raw", "second.fits", "whole.fits",
    ]  # fmt: skip


def test_two_states_are_merged(tmp_path: Path) -> None:
    names = shoot(tmp_path / "raw", range(40))
    one, other = tmp_path / "one.state", tmp_path / "other.state"
    combine(names[:15], tmp_path / "a.fits", one)
    combine(names[15:], tmp_path / "b.fits", other)
    before = other.read_bytes()
    assert combine([], tmp_path / "merged.fits", one, other) == ExitCode.DONE
    assert combine(names, tmp_path / "whole.fits") == ExitCode.DONE
    assert (tmp_path / "merged.fits").read_bytes() == (tmp_path / "whole.fits").read_bytes()
    assert other.read_bytes() == before
    assert combine([], tmp_path / "again.fits", one) == ExitCode.DONE
    assert combine([], tmp_path / "twice.fits", one, other) == ExitCode.BAD_INPUT


def test_repeated_frames_are_named_and_the_others_are_added(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names, state = shoot(tmp_path / "raw", range(12)), tmp_path / "darks.state"
    combine(names[:8], tmp_path / "a.fits", state)
    capsys.readouterr()
    assert combine(names[6:], tmp_path / "b.fits", state) == ExitCode.INCOMPLETE
    message = capsys.readouterr().err.splitlines()
    assert len(message) == 2
    assert all(name in line and "already" in line for name, line in zip(names[6:8], message, strict=True))
    assert fits.getheader(tmp_path / "b.fits")["STACKCNT"] == 12
    assert read_state(state).accumulator.frames == 12


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        ({"EXPTIME": 300.0}, "300 s"),
        ({"GAIN": 0}, "gain 0"),
        ({"INSTRUME": "Other"}, "Other"),
        ({"SET-TEMP": 5.0}, "5 C"),
        ({"XBINNING": 2}, "2x2"),
        ({"IMAGETYP": "Bias"}, "bias frames"),
        ({"IMAGETYP": "Flat"}, "flats have no state"),
    ],
)
def test_another_set_is_refused_with_the_reason(
    cards: dict[str, object], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "darks.state"
    combine(shoot(tmp_path / "raw", range(6)), tmp_path / "a.fits", state)
    before = state.read_bytes()
    assert combine(shoot(tmp_path / "other", range(6, 9), **cards), tmp_path / "b.fits", state) == ExitCode.BAD_INPUT
    assert message in capsys.readouterr().err
    assert state.read_bytes() == before
    assert not (tmp_path / "b.fits").exists()


@pytest.mark.parametrize(
    "choice", [CLIPPED._replace(center="median"), CLIPPED._replace(method="median")], ids=["clip", "median"]
)
def test_methods_that_need_all_values_are_refused(
    choice: Choice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "darks.state"
    names = shoot(tmp_path / "raw", range(6))
    assert combine(names, tmp_path / "a.fits", state, choice=choice) == ExitCode.BAD_INPUT
    assert "--method mean, or sigma-clip with" in capsys.readouterr().err
    assert not state.exists()
    assert combine(names, tmp_path / "a.fits", state, scheduler="tcp://127.0.0.1:1") == ExitCode.BAD_INPUT
    assert "--dask" in capsys.readouterr().err


@pytest.mark.parametrize("place", [0, 4])
def test_a_missing_raw_file_that_is_needed_again_is_named(
    place: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names, state = shoot(tmp_path / "raw", range(40)), tmp_path / "darks.state"
    combine(names[:30], tmp_path / "a.fits", state)
    moved = tmp_path / "elsewhere.fits"
    Path(names[place]).rename(moved)
    assert combine(names[30:], tmp_path / "b.fits", state) == ExitCode.BAD_INPUT
    message = capsys.readouterr().err.splitlines()[-1]
    assert names[place] in message
    assert "restore the file" in message
    assert read_state(state).accumulator.frames == 40
    assert combine([str(moved)], tmp_path / "c.fits", state) == ExitCode.INCOMPLETE
    assert "the state now records its new path" in capsys.readouterr().err
    Path(names[place]).write_bytes(moved.read_bytes())
    combine(names, tmp_path / "whole.fits")
    with fits.open(tmp_path / "c.fits") as grown, fits.open(tmp_path / "whole.fits") as whole:
        for one, other in zip(grown, whole, strict=True):
            np.testing.assert_array_equal(one.data, other.data)


def test_frames_that_were_archived_before_their_names_were_reused_are_found_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raws, archive, state = tmp_path / "raw", tmp_path / "archive", tmp_path / "darks.state"
    combine(shoot(raws, range(20)), tmp_path / "a.fits", state)
    raws.rename(archive)
    later = [
        path.rename(raws / f"dark-{number:03d}.fits")
        for number, path in enumerate(map(Path, shoot(raws, range(100, 120))))
    ]
    assert combine([*map(str, later)], tmp_path / "b.fits", state) == ExitCode.BAD_INPUT
    assert "specify the new path of that frame" in capsys.readouterr().err.splitlines()[-1]
    archived = [str(path) for path in sorted(archive.iterdir())]
    assert combine(archived, tmp_path / "c.fits", state) == ExitCode.INCOMPLETE
    assert "the state now records its new path" in capsys.readouterr().err
    combine([*archived, *map(str, later)], tmp_path / "whole.fits")
    with fits.open(tmp_path / "c.fits") as grown, fits.open(tmp_path / "whole.fits") as whole:
        for one, other in zip(grown, whole, strict=True):
            np.testing.assert_array_equal(one.data, other.data)


def test_a_frame_whose_path_is_not_utf_8_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names, state = shoot(tmp_path / "raw", range(6)), tmp_path / "darks.state"
    names[2] = os.fsdecode(os.fsencode(tmp_path / "raw") + b"/d\xe9sert.fits")
    (tmp_path / "raw" / "dark-002.fits").rename(names[2])
    with visible_output():
        assert combine(names, tmp_path / "a.fits", state) == ExitCode.INCOMPLETE
    message = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("left out: "))
    assert message.endswith(
        r"d\xe9sert.fits: its path is not valid UTF-8, so a state cannot record it: rename the file"
    )
    assert fits.getheader(tmp_path / "a.fits")["STACKCNT"] == 5


@pytest.mark.parametrize("change", ["value", "type", "size"])
def test_a_raw_file_that_has_changed_is_named(change: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names, state = shoot(tmp_path / "raw", range(40)), tmp_path / "darks.state"
    combine(names, tmp_path / "a.fits", state)
    pixels, header = fits.getdata(names[9]), fits.getheader(names[9])
    match change:
        case "value":
            pixels[3, 7] += 1
        case "type":
            pixels = pixels.astype(np.float32)
        case "size":
            pixels = pixels[:, 1:]
    fits.PrimaryHDU(pixels, header).writeto(names[9], overwrite=True)
    assert combine([], tmp_path / "b.fits", state) == ExitCode.BAD_INPUT
    message = capsys.readouterr().err.splitlines()[-1]
    assert names[9] in message
    assert "no longer the frame" in message


def test_compressed_and_signed_frames_equal_plain_ones(tmp_path: Path) -> None:
    names = shoot(tmp_path / "raw", range(20))
    mixed = list(names)
    for number in (4, 8):
        pixels, header = fits.getdata(names[number]), fits.getheader(names[number])
        mixed[number] = str(tmp_path / f"{number}.fits")
        if number == 4:
            fits.PrimaryHDU(pixels.astype(np.int16), header).writeto(mixed[number])
        else:
            packed = fits.CompImageHDU(pixels, header, compression_type="RICE_1")
            fits.HDUList([fits.PrimaryHDU(), packed]).writeto(mixed[number])
    assert combine(mixed, tmp_path / "grown.fits", tmp_path / "darks.state") == ExitCode.DONE
    assert combine(names, tmp_path / "whole.fits") == ExitCode.DONE
    with fits.open(tmp_path / "grown.fits") as grown, fits.open(tmp_path / "whole.fits") as whole:
        for one, other in zip(grown, whole, strict=True):
            np.testing.assert_array_equal(one.data, other.data)


# ---- the file ----


def saved(folder: Path, count: int = 6) -> Path:
    state = folder / "darks.state"
    combine(shoot(folder / "raw", range(count)), folder / "first.fits", state)
    return state


def resealed(content: bytes, change: Any) -> bytes:
    """Return a state with a changed description and a correct digest."""
    start = len(MAGIC) + 8
    length = int.from_bytes(content[len(MAGIC) : start], "little")
    description = json.loads(content[start : start + length])
    change(description)
    text = json.dumps(description).encode()
    body = MAGIC + len(text).to_bytes(8, "little") + text + content[start + length : -32]
    return body + hashlib.sha256(body).digest()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(shape=[1 << 20, 1 << 20]), "pixels need"),
        (lambda d: d.update(shape=[-1, 40]), "shape"),
        (lambda d: d.update(shape=[24.5, 40]), "shape"),
        (lambda d: d.update(tails=4), "tails"),
        (lambda d: d.update(frames=[]), "frames"),
        (lambda d: d["frames"].append(d["frames"][0]), "twice"),
        (lambda d: d["frames"][0].update(digest="00"), "digest"),
        (lambda d: d["frames"][0].update(header={"A": [[]]}), "header"),
        (lambda d: d["frames"][0].update(kind="comet"), "kind"),
        (lambda d: d.update(more=1), "more"),
    ],
)
def test_an_invalid_description_is_refused(change: Any, message: str, tmp_path: Path) -> None:
    state = saved(tmp_path)
    state.write_bytes(resealed(state.read_bytes(), change))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(StateFileError, match=message) as caught:
        read_state(state)
    assert str(state) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255), cut=st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_damage_is_detected(
    tmp_path_factory: pytest.TempPathFactory, place: float, value: int, *, cut: bool
) -> None:
    state = tmp_path_factory.getbasetemp() / "sound.state"
    if not state.exists():
        state.write_bytes(saved(tmp_path_factory.mktemp("state")).read_bytes())
    content = bytearray(state.read_bytes())
    position = int(place * len(content))
    if cut:
        del content[position:]
    else:
        content[position] ^= value
    damaged = tmp_path_factory.getbasetemp() / "damaged.state"
    damaged.write_bytes(content)
    with pytest.raises(StateFileError):
        read_state(damaged)


@pytest.mark.parametrize("content", [b"", b"SIMPLE  =", MAGIC, MAGIC + b"\xff" * 8, MAGIC + b"\0" * 8 + b"\0" * 40])
def test_other_files_are_refused_and_left_alone(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "darks.state"
    state.write_bytes(content)
    assert combine(shoot(tmp_path / "raw", range(4)), tmp_path / "a.fits", state) == ExitCode.BAD_INPUT
    assert capsys.readouterr().err.startswith(f"{state}: ")
    assert state.read_bytes() == content


def test_frames_added_by_another_process_are_not_lost(tmp_path: Path) -> None:
    path = saved(tmp_path)
    mine, theirs = read_state(path), read_state(path)
    write_state(path, theirs)
    after = path.read_bytes()
    with pytest.raises(StateFileError, match="another process"):
        write_state(path, mine)
    mine.stamp = None
    with pytest.raises(NotDurableError, match="never overwritten"):
        write_state(path, mine)
    assert path.read_bytes() == after
    write_state(path, theirs)


def test_only_one_process_at_a_time_replaces_a_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process that starts to write between the check and the replacement would lose frames."""
    path = saved(tmp_path)
    mine, theirs = read_state(path), read_state(path)
    refusals = []

    def replace_while_another_writes(target: Path, pieces: Iterable[Buffer]) -> None:
        with pytest.raises(StateFileError, match="another process is writing it") as caught:
            write_state(path, theirs)
        refusals.append(caught.value)
        replace_durably(target, pieces)

    monkeypatch.setattr(state_file, "replace_durably", replace_while_another_writes)
    write_state(path, mine)
    monkeypatch.undo()
    assert len(refusals) == 1
    with pytest.raises(StateFileError, match="has changed since it was read"):
        write_state(path, theirs)
    write_state(path, mine)


def test_a_state_that_disappeared_is_not_written_again(tmp_path: Path) -> None:
    path = saved(tmp_path)
    state = read_state(path)
    path.unlink()
    with pytest.raises(StateFileError, match="has changed since it was read"):
        write_state(path, state)
    assert not path.exists()


def test_a_full_disk_leaves_the_old_state(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = saved(tmp_path)
    before = state.read_bytes()
    names = shoot(tmp_path / "raw", range(6, 9))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limit[1]))
    try:
        assert combine(names, tmp_path / "b.fits", state) == ExitCode.BAD_INPUT
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert f"{state}: not saved" in capsys.readouterr().err
    assert state.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["darks.state", "first.fits", "raw"]


def test_a_state_is_read_back_unchanged(tmp_path: Path) -> None:
    path = saved(tmp_path)
    state = read_state(path)
    frames = [np.asarray(fits.getdata(frame.path)) for frame in state.frames]
    (squares, totals, high, low) = (
        np.concatenate([getattr(band, name) for band in state.accumulator.bands], axis=-1)
        for name in ("squares", "totals", "high", "low")
    )
    stacked = np.stack(frames).reshape(len(frames), -1)
    np.testing.assert_array_equal(totals, stacked.sum(axis=0))
    np.testing.assert_array_equal(squares, (stacked.astype(np.uint64) ** 2).sum(axis=0))
    np.testing.assert_array_equal(low[: len(frames)], np.sort(stacked, axis=0))
    np.testing.assert_array_equal(high[: len(frames)], np.sort(stacked, axis=0)[::-1])
    assert sys.getsizeof(path.read_bytes()) < 60_000
