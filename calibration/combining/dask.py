"""Masters over archives, stacked by the workers of a Dask cluster from files that all of them see.

Each task stacks some rows of all frames, with the code that stacks them here, so the result is the same to the bit. A
task reads only its rows, writes nothing and depends on nothing but its arguments: Dask may run it again anywhere when
a worker dies.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b
from importlib import metadata
from pathlib import Path
from tempfile import mkstemp
from typing import Any, NamedTuple

import numpy as np
from distributed import CancelledError, Client, Future, KilledWorker, get_worker
from numpy.typing import NDArray

from coldframe.calibration.combining.combine import Stacking, StackingError, flat_factors
from coldframe.calibration.files.frame_file import FrameFileError
from coldframe.calibration.files.image_file import ImageFile
from coldframe.calibration.masters.flat_recipe import FlatRecipe
from coldframe.calibration.masters.flat_scaling import FlatScaler
from coldframe.calibration.measuring.statistics import central_region
from coldframe.calibration.stacking.column_sort import Scaling, combine_columns, raise_open_file_limit
from coldframe.calibration.stacking.methods import Method
from coldframe.calibration.stacking.stack import Stack

TASKS_PER_THREAD = 4
"""Of all workers: enough that none is idle for long at the end, few enough that opening the files costs little."""

MOST_PIXELS = 1 << 21
"""Of a task's rows, which bounds its memory: 10 bytes a pixel for the result, with flats 4 for their dark."""

FEWEST_PIXELS = 1 << 15
"""Of a task's rows: less is not worth the way."""

CONNECT_S = 10.0
"""How long the scheduler may take to answer."""

FIRST_WORKER_S = 10.0
"""How long a first worker may take to appear."""

LOST_S = 30.0
"""How often is looked, while waiting for a result, whether there is any worker left."""

_DIGESTED_BYTES = 1 << 14
_PACKAGE = "coldframe"


class FileMark(NamedTuple):
    """What tells whether another machine sees the same file: its absolute path, its size, and how it begins.

    Times are not compared: they differ between copies of one archive on several disks, which serve as well.
    """

    path: Path
    size: int
    start: bytes


class Needs(NamedTuple):
    """What a worker must have: this version of the package and these files."""

    version: str
    files: tuple[FileMark, ...]

    def missing(self) -> str | None:
        """Return what is missing in this process or on this machine."""
        version = metadata.version(_PACKAGE)
        if version != self.version:
            return f"runs {_PACKAGE} {version}, where it was called is {self.version}: install the same everywhere"
        for file in self.files:
            try:
                seen = _mark(file.path)
            except OSError as error:
                return f"cannot read {file.path} ({error.strerror}): all must see it under this path"
            if seen != file:
                return f"sees another file as {file.path}: all must see the same under this path"
        return None


class Rows(NamedTuple):
    """Some rows of a frame, from `top` up to but not with `bottom`; `top` is even, for colour filter arrays."""

    top: int
    bottom: int


class ScaledFlats(NamedTuple):
    """What `Scaling` is, its dark as a file of little-endian float32 that the workers see."""

    dark: Path
    factors: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Cluster:
    """The workers of a Dask scheduler.

    Attributes
    ----------
    client
        The connection.
    folder
        Seen by all workers; takes the dark of flats.
    """

    client: Client
    folder: Path

    def stack(
        self, images: Sequence[ImageFile], method: Method, flat: FlatRecipe | None
    ) -> tuple[Stack, NDArray[np.bool_] | None]:
        """Stack frames on the workers; see `coldframe.calibration.combining.combine.stack_here`.

        Raises
        ------
        FrameFileError
            If a file cannot be read any more, or a flat shows no light.
        StackingError
            If a worker, which is named, does not see a file, or the cluster cannot work.
        """
        # Relative paths mean something else on each worker, and headers would only make the tasks heavy.
        sent = [replace(image, stored=image.stored.absolute(), header={}) for image in images]
        dark = None if flat is None else self._shared(flat.dark)
        needs = self._checked([*(_image_mark(image) for image in sent), *(() if dark is None else (_mark(dark),))])
        if flat is None or dark is None:
            return self._stack(needs, sent, method, None), None
        factors = list(self._results(_factors_of, [(needs, image, dark, flat.cfa_pattern) for image in sent]))
        return flat.response(self._stack(needs, sent, method, ScaledFlats(dark, np.array(factors))), factors)

    def _stack(self, needs: Needs, images: Sequence[ImageFile], method: Method, scaled: ScaledFlats | None) -> Stack:
        shape = images[0].shape
        parts = row_parts(shape, max(1, sum(self.client.nthreads().values())))
        return _joined(
            shape, parts, self._results(_stack_rows, [(needs, images, rows, method, scaled) for rows in parts])
        )

    def _checked(self, files: Sequence[FileMark]) -> Needs:
        """Raise if a worker lacks something; return what tasks look for again, wherever they come to run."""
        needs = Needs(metadata.version(_PACKAGE), tuple(files))
        for worker, missing in _answers(self.client, needs.missing).items():
            if missing is not None:
                raise StackingError(f"worker {worker} {missing}")
        return needs

    def _shared(self, plane: NDArray[np.float32]) -> Path:
        descriptor, name = mkstemp(dir=self.folder.absolute())
        with os.fdopen(descriptor, "wb") as file:
            plane.astype("<f4", copy=False).tofile(file)
        return Path(name)

    def _results(self, work: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """Yield the results of tasks, in their order; what is not done when the caller leaves is cancelled."""
        futures = [self.client.submit(work, *task, pure=False) for task in tasks]
        try:
            for future in futures:
                yield self._result(future)
                future.release()
        finally:
            self.client.cancel(futures)

    def _result(self, future: "Future[Any]") -> Any:  # noqa: ANN401 - whatever the task returns
        while True:
            try:
                return future.result(timeout=LOST_S)
            except TimeoutError:
                if not self.client.nthreads():
                    raise StackingError("all workers have gone: start some, and combine again") from None
            except (RuntimeError, ImportError) as error:
                # Dask's, where scheduler or worker cannot make sense of a task; its text has several lines.
                raise StackingError(f"the cluster cannot run the task: {' '.join(str(error).split())}") from error
            except KilledWorker as error:
                raise StackingError(
                    f"worker {error.last_worker.address} died, as others did before with the same rows: out of memory?"
                ) from error
            except CancelledError as error:
                raise StackingError("the scheduler has gone, or somebody cancelled the tasks: combine again") from error


@contextmanager
def stacking_cluster(address: str, folder: Path) -> Iterator[Stacking]:
    """Connect to a cluster; what is given stacks there until it is left.

    Parameters
    ----------
    address
        Of the scheduler, such as ``tcp://host:8786``, or ``tls://`` with the certificates of Dask's configuration.
    folder
        For files that the workers shall see.

    Raises
    ------
    StackingError
        If no scheduler answers there, it has no workers, or one of them runs another version of this package.
    """
    # What it logs is raised as well.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=CONNECT_S)
    except (OSError, ValueError, TypeError, MemoryError) as error:
        # A TypeError tells of certificates that tls:// lacks, a MemoryError that something else than Dask answers.
        raise StackingError(f"no Dask scheduler answers at {address}: {error}") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=FIRST_WORKER_S)
        except TimeoutError as error:
            raise StackingError(f"{address}: the scheduler has no workers: start some with `dask worker`") from error
        _check_versions(client)
        yield Cluster(client, folder).stack


def _check_versions(client: Client) -> None:
    """Raise if not all run the same version. The scheduler must, too: it looks into the tasks."""
    # Another version may not even know our functions: it is asked for by one of Python's own.
    versions = {
        f"worker {address}": version for address, version in _answers(client, metadata.version, _PACKAGE).items()
    }
    try:
        versions["the scheduler"] = client.run_on_scheduler(metadata.version, _PACKAGE)
    except metadata.PackageNotFoundError as error:
        versions["the scheduler"] = error
    here = metadata.version(_PACKAGE)
    for who, version in versions.items():
        if version != here:
            there = f"runs {_PACKAGE} {version}" if isinstance(version, str) else f"has no {_PACKAGE}"
            raise StackingError(f"{who} {there}, here is {here}: install the same everywhere")


def _answers(client: Client, question: Callable[..., Any], *arguments: object) -> dict[str, Any]:
    """Return each worker's answer, or its exception; those that have gone meanwhile give none."""
    answers = client.run(question, *arguments, on_error="return")
    there = client.nthreads()
    return {worker: answer for worker, answer in sorted(answers.items()) if worker in there}


def row_parts(shape: tuple[int, int], threads: int) -> list[Rows]:
    """Return the rows of each task, for a cluster of so many threads."""
    height, width = shape
    pixels = max(FEWEST_PIXELS, min(MOST_PIXELS, height * width // (threads * TASKS_PER_THREAD)))
    step = max(2, pixels // width // 2 * 2)
    return [Rows(top, min(top + step, height)) for top in range(0, height, step)]


def _stack_rows(
    needs: Needs, images: Sequence[ImageFile], rows: Rows, method: Method, scaled: ScaledFlats | None
) -> Stack:
    """Stack some rows; a task."""
    _check_here(needs)
    raise_open_file_limit(len(images) * get_worker().state.nthreads)
    scaling = None
    if scaled is not None:
        scaling = Scaling(_dark_rows(scaled.dark, rows, images[0].shape[1]), scaled.factors)
    # Dask runs as many tasks as its worker has threads.
    return combine_columns([_strip(image, rows) for image in images], method, scaling, threads=1)


def _factors_of(needs: Needs, image: ImageFile, dark: Path, pattern: str | None) -> NDArray[np.float32]:
    """Return what brings a flat to the common scale; a task. Of the dark only the central region counts."""
    _check_here(needs)
    height, width = image.shape
    plane = np.zeros((height, width), np.float32)
    region = central_region(image.shape)[0]
    plane[region] = _dark_rows(dark, Rows(region.start, region.stop), width)
    return flat_factors(image, FlatScaler(plane, pattern))


def _check_here(needs: Needs) -> None:
    """Raise on a worker that has come since the workers were checked and lacks something."""
    missing = needs.missing()
    if missing is not None:
        raise StackingError(f"worker {get_worker().address} {missing}")


def _strip(image: ImageFile, rows: Rows) -> ImageFile:
    width = image.shape[1]
    return replace(
        image, data_start=image.data_start + rows.top * width * image.pixel_bytes, shape=(rows.bottom - rows.top, width)
    )


def _dark_rows(dark: Path, rows: Rows, width: int) -> NDArray[np.float32]:
    stored = np.fromfile(dark, "<f4", (rows.bottom - rows.top) * width, offset=4 * rows.top * width)
    return stored.astype(np.float32, copy=False).reshape(-1, width)


def _joined(shape: tuple[int, int], parts: Sequence[Rows], stacks: Iterator[Stack]) -> Stack:
    mean, uncertainty = np.empty(shape, np.float32), np.empty(shape, np.float32)
    counts = np.empty(shape, np.uint16)
    frames = 0
    for (top, bottom), stack in zip(parts, stacks, strict=True):
        mean[top:bottom], uncertainty[top:bottom], counts[top:bottom] = stack.mean, stack.uncertainty, stack.counts
        frames = stack.frames
    return Stack(frames, mean, uncertainty, counts, 0)


def _image_mark(image: ImageFile) -> FileMark:
    try:
        return _mark(image.stored)
    except OSError as error:
        raise FrameFileError(image.path, error.strerror or str(error)) from error


def _mark(path: Path) -> FileMark:
    with path.open("rb") as file:
        return FileMark(path, os.fstat(file.fileno()).st_size, blake2b(file.read(_DIGESTED_BYTES)).digest())
