"""Masters from large archives, stacked by the workers of a Dask cluster from files that all workers can read.

Each task stacks a range of rows of all frames with the code that a local run uses, so the result is identical to that
of a local run, bit for bit. A task reads only its rows, writes nothing and depends only on its arguments, so Dask can
repeat the task on another worker if a worker dies.
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
from coldframe.calibration.files.image_file import ImageFile
from coldframe.calibration.files.regular import open_regular
from coldframe.calibration.masters.flat_recipe import FlatRecipe
from coldframe.calibration.masters.flat_scaling import FlatScaler
from coldframe.calibration.measuring.statistics import central_region
from coldframe.calibration.stacking.column_sort import Scaling, combine_columns, raise_open_file_limit
from coldframe.calibration.stacking.methods import Method
from coldframe.calibration.stacking.stack import Stack

TASKS_PER_THREAD = 4
"""Number of tasks for each thread of the cluster. With more tasks, files would be opened more often; with fewer tasks,
some threads would finish early and then be idle."""

MOST_PIXELS = 1 << 21
"""Largest number of pixels in the rows of a task; each pixel takes 10 bytes for the result and, for flats, another 4
bytes for the dark."""

FEWEST_PIXELS = 1 << 15
"""Smallest number of pixels in the rows of a task; with fewer pixels, communication would take longer than the work."""

CONNECT_S = 10.0
"""Timeout for an answer from the scheduler."""

FIRST_WORKER_S = 10.0
"""Timeout for the first worker to appear."""

LOST_S = 30.0
"""Interval at which, while a result is awaited, the number of remaining workers is checked."""

_DIGESTED_BYTES = 1 << 14
_PACKAGE = "coldframe"


class FileMark(NamedTuple):
    """Properties by which another machine recognises a file: its path, its size and a digest of its first bytes.

    Modification times are not compared, because they differ between copies of an archive on several disks.
    """

    path: Path
    size: int
    start: bytes

    @classmethod
    def of(cls, path: Path) -> "FileMark":
        """Return the mark of a file; raise OSError if the file cannot be read."""
        with open_regular(path) as file:
            return cls(path, os.fstat(file.fileno()).st_size, _digest(file.read(_DIGESTED_BYTES)))


class Needs(NamedTuple):
    """Requirements of a task: the version of the package, and the files to read."""

    version: str
    files: tuple[FileMark, ...]

    def missing(self) -> str | None:
        """Return the first unmet requirement, worded as a statement about this machine; None if all are met."""
        version = metadata.version(_PACKAGE)
        if version != self.version:
            return f"runs {_PACKAGE} {version}, but the caller runs {self.version}: install the same version everywhere"
        for file in self.files:
            try:
                seen = FileMark.of(file.path)
            except OSError as error:
                return f"cannot read {file.path} ({error.strerror}): all workers must be able to read it at this path"
            if seen != file:
                return f"has a different file at {file.path}: all workers must find the same file at this path"
        return None


class Rows(NamedTuple):
    """A range of a frame's rows without `bottom`; `top` is even, so that the range begins with a whole 2x2 pattern."""

    top: int
    bottom: int


class ScaledFlats(NamedTuple):
    """The content of a `Scaling`, with the dark in a file of little-endian float32 values that all workers can read."""

    dark: Path
    factors: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Cluster:
    """The workers of a Dask scheduler.

    Attributes
    ----------
    client
        Connection to the scheduler.
    folder
        Folder that all workers can read; it receives the dark that is subtracted from flats.
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
            If a file can no longer be read, or has changed since it was opened, or a flat has no signal.
        StackingError
            If the cluster fails, or if a worker cannot read a file; in the latter case, the message names the worker.
        """
        # Relative paths mean different files on each worker, where stamps differ as well; headers would only enlarge
        # the tasks.
        sent = [replace(image, stored=image.stored.absolute(), header={}, stamp=None) for image in images]
        dark = None if flat is None else self._shared(flat.dark)
        shared = () if dark is None else (FileMark.of(dark),)
        needs = self._checked([*map(_image_mark, images), *shared])
        if flat is None or dark is None:
            stack = self._stack(needs, sent, method, None)
            _require_unchanged(images)
            return stack, None
        factors = list(self._results(_factors_of, [(needs, image, dark, flat.cfa_pattern) for image in sent]))
        stack = self._stack(needs, sent, method, ScaledFlats(dark, np.array(factors)))
        _require_unchanged(images)
        return flat.response(stack, factors)

    def _stack(self, needs: Needs, images: Sequence[ImageFile], method: Method, scaled: ScaledFlats | None) -> Stack:
        shape = images[0].shape
        parts = row_parts(shape, max(1, sum(self.client.nthreads().values())))
        return _joined(
            shape, parts, self._results(stack_rows, [(needs, images, rows, method, scaled) for rows in parts])
        )

    def _checked(self, files: Sequence[FileMark]) -> Needs:
        """Return the requirements, which each task checks again; raise if a worker does not meet them."""
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
        """Yield the results in the order of the tasks; cancel unfinished tasks when the caller closes the iterator."""
        futures = [self.client.submit(work, *task, pure=False) for task in tasks]
        try:
            for future in futures:
                yield self._result(future)
                future.release()
        finally:
            self.client.cancel(futures)

    def _result(self, future: "Future[Any]") -> Any:  # noqa: ANN401 - the result of any task
        while True:
            try:
                return future.result(timeout=LOST_S)
            except TimeoutError:
                if not self.client.nthreads():
                    raise StackingError("all workers have left: start some, and combine again") from None
            except (RuntimeError, ImportError) as error:
                # Dask raises one of these errors if the scheduler or a worker cannot unpickle a task; the message has
                # several lines.
                raise StackingError(f"the cluster cannot run the task: {' '.join(str(error).split())}") from error
            except KilledWorker as error:
                raise StackingError(
                    f"worker {error.last_worker.address} died, like other workers with the same rows:"
                    " it may have run out of memory"
                ) from error
            except CancelledError as error:
                raise StackingError("the scheduler has stopped, or the tasks were cancelled: combine again") from error


@contextmanager
def stacking_cluster(address: str, folder: Path) -> Iterator[Stacking]:
    """Connect to a cluster and yield the function that stacks on it; disconnect at the end of the context.

    Parameters
    ----------
    address
        Address of the scheduler, such as ``tcp://host:8786``, or ``tls://host:8786`` with the certificates from Dask's
        configuration.
    folder
        Folder for files that the workers must be able to read.

    Raises
    ------
    StackingError
        If no scheduler answers at the address, if the scheduler has no workers, or if this package is missing or of a
        different version on the scheduler or a worker.
    """
    # Dask both logs and raises these errors.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=CONNECT_S)
    except (OSError, ValueError, TypeError, MemoryError) as error:
        # A TypeError means that the certificates for tls:// are missing. A MemoryError means that some other program
        # answers.
        raise StackingError(f"no Dask scheduler answers at {address}: {error}") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=FIRST_WORKER_S)
        except TimeoutError as error:
            raise StackingError(f"{address}: the scheduler has no workers: start some with `dask worker`") from error
        _check_versions(client)
        yield Cluster(client, folder).stack


def _check_versions(client: Client) -> None:
    """Raise unless this machine, all workers and the scheduler, which unpickles the tasks, run the same version."""
    # A different version might lack functions of this version, so the version is queried with the standard library.
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
            difference = f"runs {_PACKAGE} {version}" if isinstance(version, str) else f"has no {_PACKAGE}"
            raise StackingError(
                f"{who} {difference}, but this machine runs {here}: install the same version everywhere"
            )


def _answers(client: Client, question: Callable[..., Any], *arguments: object) -> dict[str, Any]:
    """Return the answer or the exception of each worker, omitting workers that have since left."""
    answers = client.run(question, *arguments, on_error="return")
    connected = client.nthreads()
    return {worker: answer for worker, answer in sorted(answers.items()) if worker in connected}


def row_parts(shape: tuple[int, int], threads: int) -> list[Rows]:
    """Return the rows of each task, for a cluster with the given number of threads."""
    height, width = shape
    pixels = max(FEWEST_PIXELS, min(MOST_PIXELS, height * width // (threads * TASKS_PER_THREAD)))
    step = max(2, pixels // width // 2 * 2)
    return [Rows(top, min(top + step, height)) for top in range(0, height, step)]


def stack_rows(
    needs: Needs, images: Sequence[ImageFile], rows: Rows, method: Method, scaled: ScaledFlats | None
) -> Stack:
    """Stack the given rows of all frames; this function runs as a task."""
    _check_here(needs)
    raise_open_file_limit(len(images) * get_worker().state.nthreads)
    scaling = None
    if scaled is not None:
        scaling = Scaling(_dark_rows(scaled.dark, rows, images[0].shape[1]), scaled.factors)
    # One thread per task: Dask runs as many tasks at once as its worker has threads.
    return combine_columns([_strip(image, rows) for image in images], method, scaling, threads=1)


def _factors_of(needs: Needs, image: ImageFile, dark: Path, pattern: str | None) -> NDArray[np.float32]:
    """Return the factors that scale a flat to the level that all flats share; this function runs as a task.

    Only the central region of the dark is read, because the factors do not depend on other pixels.
    """
    _check_here(needs)
    height, width = image.shape
    plane = np.zeros((height, width), np.float32)
    region = central_region(image.shape)[0]
    plane[region] = _dark_rows(dark, Rows(region.start, region.stop), width)
    return flat_factors(image, FlatScaler(plane, pattern))


def _check_here(needs: Needs) -> None:
    """Raise if this worker, which may have joined after all workers were checked, does not meet the requirements."""
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
    frames, rounding_adu2 = 0, 0.0
    for (top, bottom), stack in zip(parts, stacks, strict=True):
        mean[top:bottom], uncertainty[top:bottom], counts[top:bottom] = stack.mean, stack.uncertainty, stack.counts
        frames, rounding_adu2 = stack.frames, stack.rounding_adu2
    return Stack(frames, mean, uncertainty, counts, 0, rounding_adu2=rounding_adu2)


def _image_mark(image: ImageFile) -> FileMark:
    with image.opened() as file:
        return FileMark(image.stored.absolute(), file.size, _digest(file.read(0, _DIGESTED_BYTES)))


def _require_unchanged(images: Sequence[ImageFile]) -> None:
    """Raise `FrameFileError` if a file has changed on this machine since it was opened."""
    for image in images:
        with image.opened():
            pass


def _digest(start: bytes) -> bytes:
    return blake2b(start).digest()
