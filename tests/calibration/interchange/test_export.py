import struct
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from astropy.io import fits

from coldframe.calibration.files.cards import HeaderValue
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.headers.image_header import read_image_header
from coldframe.calibration.frames.setup import setup_of
from coldframe.calibration.interchange.export import Exported, export
from coldframe.calibration.interchange.layouts import LAYOUTS, arrange
from coldframe.calibration.interchange.linting import candidates_of, lint
from coldframe.calibration.interchange.notes import NOTES, note
from coldframe.calibration.interchange.programs.wbpp import WBPP
from coldframe.calibration.interchange.raw_sets import RawFrame, raw_sets
from coldframe.calibration.interchange.xisf import xisf_content
from coldframe.cli.lint import keywords_of
from coldframe.config.frames import FrameKind
from tests.calibration.interchange.builders import SHAPE, raw, setups, tree, write


@pytest.fixture
def masters(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "library"
    return [
        write(folder, FrameKind.BIAS, level=500, exposure_s=0),
        write(folder, FrameKind.DARK, level=600),
        write(folder, FrameKind.DARK, level=510, exposure_s=0.5),
        write(folder, FrameKind.FLAT, level=1, filter_name="Ha"),
        write(folder, FrameKind.FLAT, level=1, filter_name="L"),
        write(folder, FrameKind.DARK_FLAT, level=520, exposure_s=1.0, filter_name="L"),
    ]


@pytest.fixture
def night(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "2026-11-22"
    return [
        *(raw(folder / "biases" / f"b{number}.fits", "bias", EXPTIME=0.0) for number in (1, 2)),
        *(raw(folder / "darks" / f"d{number}.fits", "dark") for number in (1, 2)),
        *(raw(folder / "flats" / f"f{number}.fits", "flat", EXPTIME=2.0, FILTER="L") for number in (1, 2)),
        raw(folder / "dark-flats" / "df1.fits", "dark", EXPTIME=2.0, CFROLE="DARKFLAT", FILTER="L"),
    ]


def exported(program: str, target: Path, masters: list[Path], night: list[Path]) -> Exported:
    return export(arrange(program, setups(*masters), raw_sets(setups(*night))), program, target)


def test_siril_gets_its_script_names(masters: list[Path], tmp_path: Path) -> None:
    target = tmp_path / "siril"
    made = exported("siril", target, masters, [])
    assert tree(target) == {"README.txt"} | {
        f"ASI2600MM_G100_O50_-10C_{exposure}_1x1_{name}/masters/{file}.fit"
        for exposure in ("300s", "0.5s")
        for name in ("Ha", "L")
        for file in ("bias_stacked", "dark_stacked", "pp_flat_stacked")
    }
    assert len(made.made) == 12
    half = target / "ASI2600MM_G100_O50_-10C_0.5s_1x1_L" / "masters"
    assert (half / "dark_stacked.fit").samefile(masters[2])
    assert exported("siril", target, masters, []) == Exported()


def test_siril_gets_darks_without_flats(masters: list[Path], tmp_path: Path) -> None:
    exported("siril", tmp_path / "siril", masters[1:2], [])
    assert tree(tmp_path / "siril") == {
        "README.txt",
        "ASI2600MM_G100_O50_-10C_300s_1x1/masters/dark_stacked.fit",
    }


def test_siril_gets_raw_frames_in_a_folder_without_masters(night: list[Path], tmp_path: Path) -> None:
    exported("siril", tmp_path / "siril", [], night)
    folder = "ASI2600MM_G100_O50_-10C_300s_1x1_L_raw"
    assert tree(tmp_path / "siril") == {"README.txt"} | {
        f"{folder}/{name}"
        for name in (
            "biases/b1.fits", "biases/b2.fits", "darks/d1.fits", "darks/d2.fits", "flats/f1.fits", "flats/f2.fits",
            "darkflats/df1.fits",
        )
    }  # fmt: skip
    assert (tmp_path / "siril" / folder / "flats" / "f1.fits").samefile(night[4])


def test_siril_leaves_out_masters_that_no_working_folder_needs(masters: list[Path]) -> None:
    def reasons(*chosen: Path) -> dict[Path, str]:
        return dict(arrange("siril", setups(*chosen), {}).left_out)

    bias, dark, _, flat, _, dark_flat = masters
    assert reasons(*masters) == {dark_flat: "Siril does not need it, because the master flats are already calibrated"}
    needs_dark = "no master dark has its settings, and a working folder needs darks"
    assert reasons(bias, flat) == {bias: needs_dark, flat: needs_dark}
    assert reasons(bias, dark, flat) == {}


@pytest.mark.parametrize("program", LAYOUTS)
def test_flats_of_another_rotator_angle_have_a_place_of_their_own(program: str, tmp_path: Path) -> None:
    library = tmp_path / "library"
    dark = write(library, FrameKind.DARK, level=600)
    flats = [write(library, FrameKind.FLAT, level=1, filter_name="L", rotator_deg=deg) for deg in (30.0, 120.0)]
    raws = [
        raw(tmp_path / "n" / f"f{number}_{deg:g}.fits", "flat", EXPTIME=2.0, FILTER="L", ROTATANG=deg)
        for number in (1, 2)
        for deg in (30.0 + 0.1 * number, 120.4 + 0.1 * number)  # around .5, where whole degrees would differ
    ]
    raws.append(raw(tmp_path / "n" / "d.fits", "dark"))
    plan = arrange(program, setups(dark, *flats), raw_sets(setups(*raws)))
    assert plan.left_out == []
    folders = {placed.source: placed.target.parent for placed in plan.files if placed.source in {*flats, *raws[:4]}}
    assert len(folders) == 6
    if program != "asiair":  # it has one folder for all flats
        assert folders[flats[0]] != folders[flats[1]]
        assert folders[raws[0]] == folders[raws[2]] != folders[raws[1]] == folders[raws[3]]


def flats_of_two_angles(folder: Path) -> list[Path]:
    """Write raw flats of one filter at two rotator angles, with their dark flats, a dark and lights without flaws."""
    flats = [
        raw(folder / f"f{number}_{deg:g}.fits", "flat", EXPTIME=2.0, FILTER="L", ROTATANG=deg + 0.02 * number)
        for number in (1, 2)
        for deg in (30.0, 120.0)
    ]
    # INDI writes the angle into darks, too.
    dark_flats = [
        raw(folder / f"df{n}.fits", "dark", EXPTIME=2.0, FILTER="L", CFROLE="DARKFLAT", ROTATANG=30.0) for n in (1, 2)
    ]
    return [*flats, *dark_flats, raw(folder / "d.fits", "dark", ROTATANG=120.0)]


def test_dss_gets_the_dark_flats_in_the_group_of_each_angle(tmp_path: Path) -> None:
    raws = flats_of_two_angles(tmp_path / "n")
    plan = arrange("dss", {}, raw_sets(setups(*raws)))
    assert plan.left_out == []
    placed = {placed.target.as_posix() for placed in plan.files}
    group = "ASI2600MM_G100_O50_-10C_1x1_raw/group_L"
    for angle in ("30deg", "120deg"):
        assert f"{group}-{angle}/darkflats/df1.fits" in placed
        assert f"{group}-{angle}/darkflats/df2.fits" in placed


def test_wbpp_keeps_flats_of_two_angles_apart_by_a_keyword_of_the_path(tmp_path: Path) -> None:
    raws = flats_of_two_angles(tmp_path / "n")
    exported("wbpp", tmp_path / "out", [], raws)
    for deg in (30, 120):
        light = tmp_path / f"out/lights/GAIN_100_OFFSET_50_TEMP_-10/ROTATION_{deg}/l.fits"
        raw(light, "light", FILTER="L", ROTATANG=float(deg), EXPTIME=300.0)
    files, _ = candidates_of(tmp_path / "out")
    result = lint(WBPP, files, keywords_of("wbpp"))
    flats = [group for group in result.groups if group.kind is FrameKind.FLAT]
    assert [len(group.frames) for group in flats] == [2, 2]
    for group in (group for group in result.groups if group.kind is FrameKind.LIGHT):
        taken = group.takes[FrameKind.FLAT]
        assert taken is not None
        assert taken.first.keywords[-1] == group.first.keywords[-1]
    assert not [trap for trap in result.traps if "rotator angle" in trap.says]


def test_the_lint_names_merged_flats_of_two_angles(tmp_path: Path) -> None:
    flats_of_two_angles(tmp_path / "n")
    files, _ = candidates_of(tmp_path / "n")
    (trap,) = [trap for trap in lint(WBPP, files).traps if "rotator angle" in trap.says]
    assert trap.says.startswith("4 flats become one stack, although they differ in rotator angle: ")
    assert "ROTATION (in the path)" in trap.remedy


def test_an_outdated_readme_is_kept_and_named(masters: list[Path], tmp_path: Path) -> None:
    target = tmp_path / "siril"
    readme = target / "README.txt"
    assert exported("siril", target, masters, []).outdated_readme is None
    assert readme.read_text() == note("siril")
    readme.write_text("an older text")
    assert exported("siril", target, masters, []).outdated_readme == readme
    assert readme.read_text() == "an older text"


def test_wbpp_gets_xisf_masters_and_keywords_in_paths(masters: list[Path], night: list[Path], tmp_path: Path) -> None:
    target = tmp_path / "wbpp"
    masters.append(write(tmp_path / "library", FrameKind.DARK, level=700, setpoint_c=0.0))
    exported("wbpp", target, masters, night)
    cold = "ASI2600MM/GAIN_100_OFFSET_50_TEMP_-10"
    assert {Path(name).parent.as_posix() for name in tree(target)} == {
        ".",
        "ASI2600MM/GAIN_100_OFFSET_50_TEMP_0/darks/BINNING_1/EXPTIME_300",
        *(
            f"{cold}/{folder}"
            for folder in (
                "biases/BINNING_1", "darks/BINNING_1/EXPTIME_300", "darks/BINNING_1/EXPTIME_0.5",
                "flats/BINNING_1/FILTER_Ha", "flats/BINNING_1/FILTER_L",
                "raw/biases/BINNING_1", "raw/darks/BINNING_1/EXPTIME_300", "raw/darks/BINNING_1/EXPTIME_2",
                "raw/flats/BINNING_1/FILTER_L",
            )
        ),
    }  # fmt: skip
    assert not any("master" in name.lower() for name in tree(target) if "/raw/" in name)
    dark = next(path for path in target.rglob("*_300s_*.xisf") if "TEMP_-10" in str(path))
    header = read_image_header(dark)
    assert (header["IMAGETYP"], header["EXPTIME"], header["GAIN"], header["BITPIX"]) == ("Master Dark", 300.0, 100, -32)
    assert (header["NAXIS1"], header["NAXIS2"]) == SHAPE[::-1]


def xisf_image(path: Path) -> tuple[ET.Element, np.ndarray]:
    """Read an XISF file by the specification, with code of its own."""
    content = path.read_bytes()
    signature, length = struct.unpack("<8sI", content[:12])
    assert signature == b"XISF0100"
    root = ET.fromstring(content[16 : 16 + length])
    image = root.find("{http://www.pixinsight.com/xisf}Image")
    assert image is not None
    _, begin, size = image.get("location", "").split(":")
    width, height, channels = map(int, image.get("geometry", "").split(":"))
    assert channels == 1
    assert int(begin) + int(size) == len(content)
    assert int(begin) >= 16 + length
    pixels = np.frombuffer(content[int(begin) : int(begin) + int(size)], "<f4").reshape(height, width)
    return image, pixels


def test_the_pixels_of_xisf_masters_are_fractions(masters: list[Path], tmp_path: Path) -> None:
    exported("wbpp", tmp_path / "wbpp", masters, [])
    image, dark = xisf_image(next((tmp_path / "wbpp").rglob("MasterDark_*_300s_*.xisf")))
    assert (image.get("imageType"), image.get("bounds"), image.get("colorSpace")) == ("MasterDark", "0:1", "Gray")
    assert dark[0, 0] * 65535 == pytest.approx(600, rel=1e-6)
    assert dark[3, 5] * 65535 == pytest.approx(900, rel=1e-6)
    image, flat = xisf_image(next((tmp_path / "wbpp").rglob("MasterFlat_*_Ha.xisf")))
    assert image.get("imageType") == "MasterFlat"
    assert flat.mean() == pytest.approx(0.5, rel=1e-6)
    assert flat[3, 5] / flat[0, 0] == pytest.approx(1.5, rel=1e-6)


def test_dss_gets_masters_of_16_bits(masters: list[Path], tmp_path: Path) -> None:
    target = tmp_path / "dss"
    exported("dss", target, masters, [])
    assert {Path(name).parent.as_posix() for name in tree(target)} == {"."} | {
        f"ASI2600MM_G100_O50_-10C_1x1/{folder}"
        for folder in (
            "main_group/darks_300s", "main_group/darks_0.5s", "group_Ha/flats", "group_L/flats",
        )
    }  # fmt: skip
    with fits.open(next(target.rglob("MasterDark_*_300s_*.fits")), checksum=True) as file:
        assert file[0].header["BITPIX"] == 16
        assert file[0].header["EXPTIME"] == 300
        assert (int(file[0].data[0, 0]), int(file[0].data[3, 5])) == (600, 900)


@pytest.mark.parametrize("program", ["dss", "wbpp"])
def test_an_outlier_costs_a_flat_no_precision(program: str, tmp_path: Path) -> None:
    flat = write(tmp_path / "library", FrameKind.FLAT, level=1, filter_name="L")
    with fits.open(flat, mode="update") as file:
        file[0].data[7, 7] = 500
    (made,) = exported(program, tmp_path / "out", [flat], []).made
    pixels = xisf_image(made)[1] if program == "wbpp" else fits.getdata(made) / 65535
    assert pixels.mean() == pytest.approx(0.5, rel=0.03)
    assert pixels[7, 7] == 1
    assert pixels[3, 5] / pixels[0, 0] == pytest.approx(1.5, rel=1e-4)


def test_a_strongly_vignetted_flat_is_not_clipped(tmp_path: Path) -> None:
    flat = write(tmp_path / "library", FrameKind.FLAT, level=0.1, filter_name="L")
    with fits.open(flat, mode="update") as file:
        file[0].data[:4] = 1
        file[0].data[0] = 1.2
    (made,) = exported("wbpp", tmp_path / "out", [flat], []).made
    pixels = xisf_image(made)[1]
    assert pixels[0, 0] / pixels[1, 0] == pytest.approx(1.2, rel=1e-6)


def test_dss_gets_no_master_bias_that_the_darks_contain(masters: list[Path]) -> None:
    plan = arrange("dss", setups(*masters), {})
    ((path, reason),) = plan.left_out
    assert path == masters[0]
    assert "subtract the bias twice" in reason


def test_app_and_asiair_get_links(masters: list[Path], night: list[Path], tmp_path: Path) -> None:
    exported("app", tmp_path / "app", masters, night)
    assert (tmp_path / "app/ASI2600MM_G100_O50_-10C_1x1/flats/Ha" / masters[3].name).samefile(masters[3])
    exported("asiair", tmp_path / "asiair", masters, night)
    names = tree(tmp_path / "asiair" / "Autorun")
    assert "Dark/Dark_300.0s_Bin1_2600MM_gain100_20261122-040000_-10.0C_0001.fit" in names
    assert "Flat/Flat_2.0s_Bin1_2600MM_gain100_20261122-040000_-10.0C_L_0002.fit" in names
    assert len(names) == len(night)


def test_bias_subtracted_and_replaced_masters_are_left_out(tmp_path: Path) -> None:
    old, new = write(tmp_path / "old"), write(tmp_path / "new", days=40)
    without_bias = write(tmp_path / "cut", exposure_s=60)
    with fits.open(without_bias, mode="update") as file:
        file[0].header["CALSTAT"] = "B"
    plan = arrange("app", setups(old, new, without_bias), {})
    assert [placed.source for placed in plan.files] == [new]
    assert {path for path, _ in plan.left_out} == {old, without_bias}


def two_nights(folder: Path) -> dict[Path, str]:
    """Write the same names in two nights, and return the nights' names by path."""
    return {
        raw(folder / night / place / name, kind, **cards, DATE_OBS=f"{night}T04:00:00"): night
        for night in ("2026-11-22", "2026-11-23")
        for place, kind, cards in (
            ("biases", "bias", {"EXPTIME": 0.0}), ("darks", "dark", {}),
            ("flats", "flat", {"EXPTIME": 2.0, "FILTER": "L"}),
        )
        for name in ("x_0001.fits", "x_0002.fits")
    }  # fmt: skip


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("program", LAYOUTS)
def test_several_nights_with_equal_names_all_arrive(program: str, together: bool, tmp_path: Path) -> None:  # noqa: FBT001
    nights = two_nights(tmp_path)
    calls = [nights] if together else [{p: n for p, n in nights.items() if n == each} for each in set(nights.values())]
    for call in calls:
        plan = arrange(program, {}, raw_sets(setups(*call), call))
        assert plan.left_out == []
        export(plan, program, tmp_path / "out")
    arrived = [path for path in (tmp_path / "out").rglob("*.fit*") if path.is_file()]
    assert {path.stat().st_ino for path in arrived} == {path.stat().st_ino for path in nights}
    assert len(arrived) == len(nights)
    if program != "asiair":
        assert {path.name for path in arrived} >= {"x_0001_2026-11-22.fits", "x_0001_2026-11-23.fits"}


def test_frames_whose_place_is_taken_are_left_out(tmp_path: Path) -> None:
    one, other = raw(tmp_path / "a" / "x.fits", "dark"), raw(tmp_path / "b" / "x.fits", "dark")
    plan = arrange("app", {}, raw_sets(setups(one, other)))
    assert [placed.source for placed in plan.files] == [one]
    ((path, reason),) = plan.left_out
    assert path == other
    assert str(one) in reason


def test_siril_leaves_out_raw_flats_without_darks(night: list[Path]) -> None:
    without_darks = [path for path in night if path.parent.name != "darks"]
    plan = arrange("siril", {}, raw_sets(setups(*without_darks)))
    assert plan.files == ()
    assert {path for path, _ in plan.left_out} == set(without_darks)
    assert any("no raw darks" in reason for _, reason in plan.left_out)


def test_the_night_comes_before_double_suffixes() -> None:
    assert RawFrame(Path("a_0.5s_0001.fits.fz"), setup_of({}), "2026-11-22").name == "a_0.5s_0001_2026-11-22.fits.fz"


@pytest.mark.parametrize("program", LAYOUTS)
def test_nothing_is_overwritten(program: str, masters: list[Path], night: list[Path], tmp_path: Path) -> None:
    target = tmp_path / "out"
    made = exported(program, target, masters, night)
    assert exported(program, target, masters, night) == Exported()
    for path in (*made.made, target / "README.txt"):
        path.unlink()
        path.write_bytes(b"mine")
    again = exported(program, target, masters, night)
    assert again.made == []
    assert [path for path, _ in again.differing] == made.made
    assert {path.read_bytes() for path in target.rglob("*") if path.is_file()} == {b"mine"}


def test_outdated_masters_are_named(tmp_path: Path) -> None:
    target = tmp_path / "out"
    old, new = write(tmp_path / "old"), write(tmp_path / "new", days=40, level=510)
    (made,) = exported("siril", target, [old], []).made
    assert made.name == "dark_stacked.fit"
    assert exported("siril", target, [old, new], []) == Exported([], [(made, new)])
    assert made.samefile(old)


@pytest.mark.parametrize("program", ["dss", "wbpp"])
def test_a_master_that_cannot_be_read_does_not_end_an_export(program: str, masters: list[Path], tmp_path: Path) -> None:
    plan = arrange(program, setups(*masters), {})
    masters[1].write_bytes(masters[1].read_bytes()[:4000])
    done = export(plan, program, tmp_path / "out")
    assert len(done.made) == len(plan.files) - 1
    ((path, reason),) = done.left_out
    assert path == masters[1]
    assert "truncated" in reason
    assert (tmp_path / "out" / "README.txt").exists()


def test_copies_count_as_the_same(tmp_path: Path) -> None:
    dark = write(tmp_path / "library")
    (made,) = exported("app", tmp_path / "out", [dark], []).made
    made.unlink()
    made.write_bytes(dark.read_bytes())
    assert exported("app", tmp_path / "out", [dark], []) == Exported()


@pytest.mark.parametrize("program", ["dss", "wbpp"])
def test_conversions_do_not_depend_on_the_time(program: str, masters: list[Path], tmp_path: Path) -> None:
    made = exported(program, tmp_path / "out", masters, []).made
    later = exported(program, tmp_path / "later", masters, []).made
    assert [path.read_bytes() for path in made] == [path.read_bytes() for path in later]
    if program == "wbpp":
        assert b'value="2026-11-22T04:00:00Z"' in made[0].read_bytes()


def test_every_program_has_a_note() -> None:
    assert set(NOTES) == set(LAYOUTS)
    assert all(line == line.rstrip() and len(line) <= 120 for text in NOTES.values() for line in text.splitlines())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"SIMPLE  =                    T",
        b"XISF0100\xff\xff\xff\xff\0\0\0\0",
        b"XISF0100\x04\0\0\0\0\0\0\0<a/>",
        b"XISF0100\x04\0\0\0\0\0\0\0<a/<",
        b"XISF0100\x40\0\0\0\0\0\0\0" + "<!DOCTYPE a [<!ENTITY b 'c'>]><a/>".encode("utf-16"),
        b"XISF0100\x20\0\0\0\0\0\0\0<!DOCTYPE a [<!ENTITY b 'c'>]><a/>",
    ],
)
def test_damaged_xisf_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.xisf"
    path.write_bytes(content)
    with pytest.raises(FrameFileError):
        read_image_header(path)


HEADER: dict[str, HeaderValue] = {
    "FILTER": 'O\'III <5> & "more"',
    "GAIN": -3,
    "EXPTIME": 0.5,
    "SIMPLE": True,
    "FLAG": False,
}


def test_xisf_headers_keep_their_values(tmp_path: Path) -> None:
    (tmp_path / "a.xisf").write_bytes(b"".join(xisf_content(np.zeros((2, 3), np.float32), HEADER, "MasterFlat")))
    written = {
        "FILTER": "O'III <5> & \"more\"", "GAIN": -3, "EXPTIME": 0.5, "FLAG": False,
        "BITPIX": -32, "NAXIS": 2, "NAXIS1": 3, "NAXIS2": 2,
    }  # fmt: skip
    read = read_image_header(tmp_path / "a.xisf")
    assert {keyword: read[keyword] for keyword in written} == written
    assert "SIMPLE" not in read
