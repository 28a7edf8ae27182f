"""Stacking on a Dask cluster with a real scheduler and real workers in separate processes."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from coldframe.calibration.combining.combine import Stacking, StackingError, stack_here
from coldframe.calibration.files.headers.file_error import FrameFileError
from coldframe.calibration.files.image_file import ImageFile, open_image
from coldframe.calibration.masters.flat_recipe import FlatRecipe
from coldframe.calibration.stacking.clipping import Clipping
from coldframe.calibration.stacking.methods import Mean, Median, MedianClipping, Method, Winsorizing
from coldframe.cli.combine import combine_files
from coldframe.cli.exit_codes import ExitCode
from coldframe.operations.combining import Request

pytest.importorskip("distributed", reason="Dask's distributed is not installed: pip install distributed")

from distributed import Client

from coldframe.calibration.combining import dask
from coldframe.calibration.combining.dask import MOST_PIXELS, Needs, Rows, row_parts, stack_rows, stacking_cluster
from tests.patience import PATIENCE_S, block_until

SHAPE = (301, 640)
METHODS = [Mean(), Median(), Clipping(), Clipping(kappa=2.5, start="all"), MedianClipping(2.0), Winsorizing(2.5)]

TILE_PLUGIN = """
import os, signal, time
from pathlib import Path
from distributed.diagnostics.plugin import WorkerPlugin

class Plugin(WorkerPlugin):
    def transition(self, key, start, finish, **kwargs):
        if str(key).startswith("{task}-") and finish == "{state}":
            {action}

async def dask_setup(worker):
    await worker.plugin_add(Plugin(), name="coldframe-test")
"""
DIE = "os.kill(os.getpid(), signal.SIGKILL)"


def tile_plugin(state: str, action: str) -> str:
    """A worker's plugin that acts when a task with some rows reaches a state."""
    return TILE_PLUGIN.format(task=stack_rows.__name__, state=state, action=action)


class Running(NamedTuple):
    """A scheduler."""

    address: str
    process: subprocess.Popen[bytes]
    folder: Path

    def knows(self, name: str) -> bool:
        with Client(self.address, timeout=PATIENCE_S) as client:
            return bool(client.run_on_scheduler(lambda dask_scheduler: name in dask_scheduler.aliases))


@contextmanager
def process(*arguments: str, cwd: Path, environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A part of a cluster; it is killed in the end."""
    command = [sys.executable, "-m", "dask", *arguments]
    with (cwd / f"{arguments[0]}-{uuid4().hex}.log").open("wb") as log:
        part = subprocess.Popen(command, cwd=cwd, stdout=log, stderr=log, env={**os.environ, **(environment or {})})
    try:
        yield part
    finally:
        part.kill()
        part.wait(PATIENCE_S)


@contextmanager
def scheduler(folder: Path, environment: dict[str, str] | None = None) -> Iterator[Running]:
    file = folder / "scheduler.json"
    with process(
        "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file),
        cwd=folder, environment=environment,
    ) as part:  # fmt: skip
        block_until(lambda: file.exists() and file.read_text())
        yield Running(json.loads(file.read_text())["address"], part, folder)


@contextmanager
def worker(
    running: Running, *options: str, cwd: Path | None = None, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that has registered with the scheduler; the scheduler has forgotten it in the end."""
    name = uuid4().hex
    with process(
        "worker", running.address, "--no-nanny", "--no-dashboard", "--nthreads", "1", "--host", "127.0.0.1",
        "--name", name, "--local-directory", str(running.folder), *options,
        cwd=cwd or running.folder, environment=environment,
    ) as part:  # fmt: skip
        block_until(lambda: running.knows(name))
        yield part
    if running.process.poll() is None:
        block_until(lambda: not running.knows(name))


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask, "CONNECT_S", PATIENCE_S)
    monkeypatch.setattr(dask, "FIRST_WORKER_S", PATIENCE_S)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with scheduler(tmp_path_factory.mktemp("cluster")) as one, worker(one), worker(one):
        yield one


@pytest.fixture
def stacking(running: Running, tmp_path: Path) -> Iterator[Stacking]:
    with stacking_cluster(running.address, tmp_path) as stack:
        yield stack


def shoot(folder: Path, count: int, kind: str = "Dark", level: float = 900, dtype: str = "u2") -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = []
    for number in range(count):
        pixels = np.random.default_rng([number, int(level)]).normal(level, 9, SHAPE).round()
        pixels[number::17, ::5] += 300
        paths.append(folder / f"{kind}-{number:02d}.fits")
        header = fits.Header([("IMAGETYP", kind), ("EXPTIME", 60.0), ("GAIN", 100)])
        fits.PrimaryHDU(pixels.clip(0, 65535).astype(dtype), header).writeto(paths[-1])
    return paths


def opened(paths: Sequence[Path], folder: Path) -> list[ImageFile]:
    return [open_image(path, folder) for path in paths]


def assert_same(images: Sequence[ImageFile], method: Method, flat: FlatRecipe | None, stacking: Stacking) -> None:
    (far, far_mask), (near, near_mask) = stacking(images, method, flat), stack_here(images, method, flat)
    np.testing.assert_array_equal(far.mean, near.mean, strict=True)
    np.testing.assert_array_equal(far.uncertainty, near.uncertainty, strict=True)
    np.testing.assert_array_equal(far.counts, near.counts, strict=True)
    np.testing.assert_array_equal(far_mask, near_mask, strict=True)
    assert (far.frames, far.recomputed) == (near.frames, near.recomputed)
    assert far.rejected_fraction > 0 or isinstance(method, Mean | Median)


# ---- the same to the bit ----


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_every_method_gives_the_same_result(method: Method, stacking: Stacking, tmp_path: Path) -> None:
    assert_same(opened(shoot(tmp_path, 11), tmp_path), method, None, stacking)


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4", "f8"])
def test_every_type_of_pixel_gives_the_same_result(dtype: str, stacking: Stacking, tmp_path: Path) -> None:
    images = opened(shoot(tmp_path, 11, level=90 if dtype == "u1" else 900, dtype=dtype), tmp_path)
    assert_same(images, Clipping(sigma_floor_adu=0), None, stacking)


@pytest.mark.parametrize("pattern", [None, "RGGB"])
@pytest.mark.parametrize("dtype", ["u2", "f4"])
def test_flats_give_the_same_result(dtype: str, pattern: str | None, stacking: Stacking, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    dark, uncertainty = rng.normal(500, 40, SHAPE), rng.uniform(1, 9, SHAPE)
    flat = FlatRecipe(dark.astype(np.float32), uncertainty.astype(np.float32), pattern)
    images = opened(shoot(tmp_path, 11, "Flat", 20000, dtype), tmp_path)
    assert_same(images, Clipping(), flat, stacking)


@pytest.mark.parametrize("state", ["executing", "memory"])
def test_a_worker_that_is_killed_changes_nothing(
    state: str, running: Running, stacking: Stacking, tmp_path: Path
) -> None:
    """Once in the middle of its first rows, once when it alone holds them."""
    plugin = tmp_path / "plugin.py"
    plugin.write_text(tile_plugin(state=state, action=DIE))
    images = opened(shoot(tmp_path, 11), tmp_path)
    with worker(running, "--preload", str(plugin)) as doomed:
        deadline_s = time.monotonic() + PATIENCE_S
        while doomed.poll() is None and time.monotonic() < deadline_s:  # until the scheduler assigns it a task
            assert_same(images, Clipping(), None, stacking)
        assert doomed.poll() == -signal.SIGKILL


@pytest.mark.parametrize("packed", ["plain", "gzip", "tiles"])
def test_the_command_writes_the_same_file(
    packed: str, running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names are relative to a folder that is not the workers'; compressed files are unpacked for all."""
    for path in shoot(tmp_path / "raw", 9):
        if packed == "gzip":
            path.with_suffix(".fits.gz").write_bytes(gzip.compress(path.read_bytes(), 1))
            path.unlink()
        elif packed == "tiles":
            pixels, header = fits.getdata(path, header=True)
            path.unlink()
            tiles = fits.CompImageHDU(pixels, header, compression_type="RICE_1")
            fits.HDUList([fits.PrimaryHDU(), tiles]).writeto(path)
    monkeypatch.chdir(tmp_path)
    assert combine(["raw"], Path("near.fits")) == ExitCode.DONE
    assert combine(["raw"], Path("far.fits"), running.address) == ExitCode.DONE
    assert Path("far.fits").read_bytes() == Path("near.fits").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["far.fits", "near.fits", "raw"]


def combine(names: Sequence[str], output: Path, address: str | None = None) -> ExitCode:
    return combine_files(names, output, Request(scheduler=address))


# ---- errors ----


def test_a_file_that_can_no_longer_be_read_is_named(running: Running, stacking: Stacking, tmp_path: Path) -> None:
    images = opened(shoot(tmp_path, 4), tmp_path)
    os.truncate(images[2].path, 200_000)
    with pytest.raises(FrameFileError, match="was changed or replaced") as raised:
        stacking(images, Mean(), None)
    assert raised.value.path == images[2].path
    with Client(running.address) as client:
        assert_nothing_is_left(client)
    images[1].path.unlink()
    with pytest.raises(FrameFileError, match="No such file") as raised:
        stacking(images, Mean(), None)
    assert raised.value.path == images[1].path


def assert_nothing_is_left(client: Client) -> None:
    """The scheduler may take a moment to forget released tasks."""
    block_until(lambda: not client.run_on_scheduler(lambda dask_scheduler: sorted(dask_scheduler.tasks)))


def test_a_flat_without_light_is_named(stacking: Stacking, tmp_path: Path) -> None:
    images = opened(shoot(tmp_path, 3, "Flat"), tmp_path)
    dark = np.full(SHAPE, 5000, np.float32)
    with pytest.raises(FrameFileError, match=r"Flat-00.fits: .*no light"):
        stacking(images, Mean(), FlatRecipe(dark, dark, None))


@pytest.mark.parametrize("message", ["cannot read", "has a different file at"])
def test_a_worker_without_the_files_is_named(
    message: str, running: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere, shared = tmp_path / "elsewhere", running.folder / message.replace(" ", "-")
    paths = [path.relative_to(running.folder) for path in shoot(shared, 3)]
    if message != "cannot read":
        for path in paths:
            (elsewhere / path).parent.mkdir(parents=True, exist_ok=True)
            (elsewhere / path).write_bytes((running.folder / path).read_bytes() + bytes(2880))
    elsewhere.mkdir(exist_ok=True)
    # Under this path each process finds its own working folder.
    names = [f"/proc/self/cwd/{path}" for path in paths]
    monkeypatch.chdir(running.folder)
    with worker(running, cwd=elsewhere) as blind, Client(running.address) as client:
        address = next(address for address, pid in client.run(os.getpid).items() if pid == blind.pid)
        assert combine(names, tmp_path / "master.fits", running.address) == ExitCode.BAD_INPUT
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"worker {address} {message} {names[0]}")
        # A task checks again, in case its worker joined after the check.
        needs = Needs(metadata.version("coldframe"), (dask.FileMark.of(Path(names[0])),))
        task = client.submit(dask.stack_rows, needs, [], Rows(0, 2), Mean(), None, workers=[address])
        with pytest.raises(StackingError, match=f"worker {address} {message} {names[0]}"):
            task.result()


def other_version(folder: Path) -> dict[str, str]:
    """An environment in which another version of coldframe appears to be installed."""
    old = folder / "old" / "coldframe-0.0.1.dist-info"
    old.mkdir(parents=True)
    (old / "METADATA").write_text("Metadata-Version: 2.1\nName: coldframe\nVersion: 0.0.1\n")
    return {"PYTHONPATH": str(old.parent)}


def test_a_worker_with_another_version_is_refused(
    running: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [str(path) for path in shoot(tmp_path, 3)]
    with worker(running, environment=other_version(tmp_path)):
        assert combine(names, tmp_path / "master.fits", running.address) == ExitCode.BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("worker tcp://127.0.0.1:")
    assert "runs coldframe 0.0.1, but this machine runs" in line


@pytest.mark.parametrize(
    ("address", "within_s"), [("tcp://127.0.0.1:1", 3.0), ("tls://127.0.0.1:1", PATIENCE_S), ("nonsense", PATIENCE_S)]
)
def test_a_missing_scheduler_is_reported_in_one_line_in_time(
    address: str, within_s: float, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask, "CONNECT_S", within_s)
    names = [str(path) for path in shoot(tmp_path, 3)]
    assert combine(names, tmp_path / "master.fits", address) == ExitCode.BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"no Dask scheduler answers at {address}: ")


def test_a_scheduler_without_workers_or_with_another_version_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask, "FIRST_WORKER_S", 0.5)
    with scheduler(tmp_path, other_version(tmp_path)) as one:
        with pytest.raises(StackingError, match="has no workers"), stacking_cluster(one.address, tmp_path):
            pass
        with (
            worker(one),
            pytest.raises(StackingError, match=r"the scheduler runs coldframe 0\.0\.1"),
            stacking_cluster(one.address, tmp_path),
        ):
            pass


@pytest.mark.parametrize(
    ("victim", "message"), [("worker", "all workers have left"), ("scheduler", "the scheduler has stopped")]
)
def test_a_cluster_that_dies_is_reported(
    victim: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask, "LOST_S", 0.5)
    plugin = tmp_path / "plugin.py"
    images = opened(shoot(tmp_path, 5), tmp_path)
    with scheduler(tmp_path) as one:
        pid = "os.getpid()" if victim == "worker" else str(one.process.pid)
        plugin.write_text(tile_plugin(state="executing", action=f"os.kill({pid}, signal.SIGKILL)"))
        with (
            worker(one, "--preload", str(plugin)),
            stacking_cluster(one.address, tmp_path) as stack,
            pytest.raises(StackingError, match=message),
        ):
            stack(images, Mean(), None)


def test_an_interruption_leaves_nothing_behind(running: Running, tmp_path: Path) -> None:
    plugin, begun = tmp_path / "plugin.py", tmp_path / "begun"
    plugin.write_text(tile_plugin(state="executing", action=f"Path({str(begun)!r}).touch(); time.sleep({PATIENCE_S})"))
    names = [str(path) for path in shoot(tmp_path, 5)]
    command = [sys.executable, "-m", "coldframe", "combine", *names, "-o", "master.fits", "--dask", running.address]
    with worker(running, "--preload", str(plugin)), Client(running.address) as client:
        # A shell starts background jobs with SIGINT ignored, which the subprocess would inherit.
        heeding = ["env", "--default-signal=INT", *command]
        with subprocess.Popen(heeding, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as combining:
            block_until(lambda: begun.exists() or combining.poll() is not None)
            combining.send_signal(signal.SIGINT)
            _, message = combining.communicate(timeout=PATIENCE_S)
        assert (combining.returncode, message) == (ExitCode.INTERRUPTED, "")
        assert_nothing_is_left(client)
    assert not list(tmp_path.glob("master*"))
    assert not list(tmp_path.glob(".coldframe*"))


# ---- rows ----


@given(st.integers(1, 9000), st.integers(1, 9000), st.integers(1, 500))
def test_every_row_is_assigned_once_and_tasks_are_limited(height: int, width: int, threads: int) -> None:
    parts = row_parts((height, width), threads)
    assert [row for part in parts for row in range(*part)] == list(range(height))
    assert all(part.top % 2 == 0 for part in parts)
    assert all((part.bottom - part.top) * width <= max(MOST_PIXELS, 2 * width) for part in parts)
