"""`coldframe inspect` on frames and masters of every kind, and on other files."""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from coldframe.calibration.files.cards import Card
from coldframe.calibration.files.frame_file import FrameEncoder, extension_pieces, primary_pieces
from coldframe.cli import inspection
from coldframe.cli.exit_codes import ExitCode
from coldframe.cli.inspection import inspect_file

CARDS = [
    Card("IMAGETYP", "Dark Frame"),
    Card("INSTRUME", "ZWO ASI2600MM"),
    Card("GAIN", 100.0),
    Card("EXPTIME", 300.0),
    Card("CCD-TEMP", -9.9),
    Card("SET-TEMP", -10.0),
]


def write_frame(path: Path, pixels: NDArray[np.uint16], cards: list[Card]) -> Path:
    path.write_bytes(b"".join(bytes(piece) for piece in FrameEncoder().encode(pixels, cards)))
    return path


def noise(height: int = 60, width: int = 90) -> NDArray[np.uint16]:
    return np.random.default_rng(5).normal(500, 4, (height, width)).astype(np.uint16)


def write_master(path: Path) -> Path:
    mean = np.full((40, 60), 512.5, np.float32)
    mean[3, 4] = 4000
    counts = np.full(mean.shape, 20, np.float32)
    counts[:20] = 18
    cards = [
        Card("IMAGETYP", "Master Dark"), Card("STACKCNT", 20), Card("BUNIT", "adu"), Card("CFREJECT", 0.0125),
        Card("CFMETHOD", "sigma-clipped mean"),
    ]  # fmt: skip
    pieces = [
        *primary_pieces(mean, cards),
        *extension_pieces("UNCERT", np.full(mean.shape, 1.5, np.float32), []),
        *extension_pieces("COUNTS", counts, []),
    ]
    path.write_bytes(b"".join(bytes(piece) for piece in pieces))
    return path


def decoded(path: Path) -> tuple[int, int, int, bytes]:
    """Return width, height, colour type and unfiltered rows of a PNG file, parsed strictly by the standard."""
    data, at, chunks = path.read_bytes(), 8, {}
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    while at < len(data):
        (size,), name = struct.unpack(">I", data[at : at + 4]), data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size])[0] == zlib.crc32(name + body)
        chunks[name], at = body, at + 12 + size
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert depth == 8
    return width, height, colour, zlib.decompress(chunks[b"IDAT"])


def test_a_frame_is_shown_in_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_frame(tmp_path / "dark.fits", noise(), CARDS)
    assert inspect_file(path, None) is ExitCode.DONE
    out = capsys.readouterr().out
    for text in ("ZWO ASI2600MM, gain 100", "300 s", "-9.9 C, setpoint -10.0 C", "90 x 60, 16-bit integers"):
        assert text in out
    assert "master" not in out.replace(str(tmp_path), "")
    level = float(out.split("level")[1].split()[0])
    assert level == pytest.approx(500, abs=1.5)
    pixel_noise = float(out.split("noise")[1].split()[0])
    assert pixel_noise == pytest.approx(4, rel=0.2)


def test_a_master_is_shown_with_uncertainty_and_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect_file(write_master(tmp_path / "master.fits"), None) is ExitCode.DONE
    out = " ".join(capsys.readouterr().out.split())
    for text in (
        "kind master dark",
        "frames 20",
        "median 512.5",
        "from, to 512.5, 4000",
        "uncertainty median 1.5 ADU",
        "values kept 18 to 20 per pixel; all 20 for 50 % of the pixels",
        "rejected 1.25 % of the values, by sigma-clipped mean",
    ):
        assert text in out


def test_the_picture_is_a_png_and_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = noise()
    pixels[:, 45:] += 100
    path, picture = write_frame(tmp_path / "dark.fits", pixels, CARDS), tmp_path / "dark.png"
    assert inspect_file(path, picture) is ExitCode.DONE
    width, height, colour, rows = decoded(picture)
    assert (width, height, colour) == (90, 60, 0)
    row = rows[30 * 91 + 1 : 31 * 91]
    assert max(row[:45]) < min(row[45:])
    assert inspect_file(path, picture) is ExitCode.BAD_INPUT
    assert "never overwritten" in capsys.readouterr().err
    assert inspect_file(path, tmp_path / "dark.jpg") is ExitCode.BAD_INPUT
    assert not (tmp_path / "dark.jpg").exists()


def test_a_colour_frame_has_a_picture_in_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.full((80, 120), 1000, np.uint16)
    pixels[0::2, 0:60:2] += 500  # red on the left
    path = write_frame(tmp_path / "osc.fits", pixels, [*CARDS, Card("BAYERPAT", "RGGB")])
    shown: list[Console] = []

    def coloured(*, highlight: bool, markup: bool) -> Console:
        kinds = {"record": True, "force_terminal": True, "highlight": highlight, "markup": markup}
        shown.append(Console(width=60, height=30, color_system="truecolor", **kinds))  # type: ignore[arg-type]
        return shown[0]

    monkeypatch.setattr(inspection, "VisibleConsole", coloured)
    assert inspect_file(path, tmp_path / "osc.png") is ExitCode.DONE
    width, height, colour, rows = decoded(tmp_path / "osc.png")
    assert (width, height, colour) == (60, 40, 2)
    assert rows[1:4] == bytes([255, 128, 128])
    assert rows[181 - 3 : 181] == bytes([0, 128, 128])
    assert "38;2;255;128;128" in shown[0].export_text(styles=True)


def test_compressed_frames_are_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = write_frame(tmp_path / "dark.fits", noise(), CARDS)
    packed = tmp_path / "dark.fits.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    inspect_file(plain, None)
    expected = capsys.readouterr().out.splitlines()[1:]
    assert inspect_file(packed, None) is ExitCode.DONE
    assert capsys.readouterr().out.splitlines()[1:] == expected


def test_headers_cannot_control_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_frame(tmp_path / "[bold]dark.fits", noise(), CARDS)
    evil = path.read_bytes().replace(b"ZWO ASI2600MM", b"\x1b[2J[red]A\x07BC")
    path.write_bytes(evil)
    inspect_file(path, None)
    printed = capsys.readouterr()
    assert "\x1b[2J" not in printed.out
    assert "\x07" not in printed.out
    assert "[bold]dark.fits" in printed.out


@pytest.mark.parametrize("content", [b"", b"no frame at all", b"SIMPLE  =                    T" + b" " * 2850])
def test_other_files_are_refused_in_one_line(
    tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.fits"
    path.write_bytes(content)
    for name in (path, tmp_path / "missing.fits", tmp_path):
        assert inspect_file(name, None) is ExitCode.BAD_INPUT
        message = capsys.readouterr().err
        assert len(message.splitlines()) == 1
        assert str(name) in message
