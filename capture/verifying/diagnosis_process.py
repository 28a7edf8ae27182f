"""Diagnose frames in a separate process, which can be ended at any time and which ends first if memory runs out."""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coldframe.calibration.diagnosis.findings import Kind
from coldframe.calibration.diagnosis.remedy import Remedy
from coldframe.capture.events.verification import Artifact, Cleanness
from coldframe.errors import ColdframeError

DEADLINE_S = 600.0
"""Maximum time for a diagnosis; a Raspberry Pi takes two minutes for twelve lights of 26 MP."""

COMMAND = (sys.executable, "-P", "-m", "coldframe.capture.verifying.child")
_LAST_WORDS = 300


class DiagnosisError(ColdframeError):
    """The diagnosis failed, so the frames are not verified."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The result of a diagnosis; see `LightsVerified`."""

    count: int
    cleanness: Cleanness
    artifacts: tuple[Artifact, ...]
    sky_adu: float | None = None
    noise_adu: float | None = None


@dataclass(slots=True)
class DiagnosisProcess:
    """A separate process that runs one diagnosis at a time.

    Attributes
    ----------
    command
        Command line of the program that reads a request and writes the result.
    deadline_s
        Maximum time for a diagnosis.
    """

    command: tuple[str, ...] = COMMAND
    deadline_s: float = DEADLINE_S
    _running: subprocess.Popen[str] | None = field(default=None, init=False)

    def run(self, frames: tuple[Path, ...], masters: Mapping[str, Path], *, are_flats: bool) -> Judgement:
        """Diagnose frames. Call this in a thread.

        Parameters
        ----------
        frames
            Raw lights, or raw flats.
        masters
            Paths of the masters: "dark", "flat" and, for lights, "bias".
        are_flats
            True for flats, which are calibrated as if they were lights.

        Raises
        ------
        DiagnosisError
            If the process fails, exceeds the deadline, or is ended.
        """
        request = {
            "frames": [str(path) for path in frames],
            "masters": {kind: str(path) for kind, path in masters.items()},
            "are_flats": are_flats,
            "deadline_s": self.deadline_s,
        }
        return judgement_of(self._answer(json.dumps(request)))

    def end(self) -> None:
        """End the running diagnosis, if any. Any thread may call this."""
        if (running := self._running) is not None:
            running.kill()

    def _answer(self, request: str) -> str:
        environment = {**os.environ, "NUMBA_NUM_THREADS": "1"}
        try:
            with subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            ) as process:
                self._running = process
                try:
                    answer, complaint = process.communicate(request, self.deadline_s)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise DiagnosisError(f"the diagnosis took longer than {self.deadline_s:.0f} s") from None
                finally:
                    self._running = None
        except OSError as error:
            raise DiagnosisError(f"the diagnosis could not be started: {error.strerror or error}") from error
        if process.returncode == -signal.SIGKILL:
            raise DiagnosisError("the diagnosis was ended")
        if process.returncode:
            raise DiagnosisError(f"the diagnosis failed: {_last_words(complaint)}")
        return answer


def judgement_of(answer: str) -> Judgement:
    """Parse the text that the process wrote, and return the result.

    Raises
    ------
    DiagnosisError
        If the text is not a valid result.
    """
    try:
        result = json.loads(answer)
        artifacts = tuple(_artifact(each) for each in result["artifacts"])
        known = result.get("sky_adu"), result.get("noise_adu")
        sky_adu, noise_adu = (None if value is None else float(value) for value in known)
        return Judgement(int(result["count"]), Cleanness(result["cleanness"]), artifacts, sky_adu, noise_adu)
    except (ValueError, KeyError, TypeError) as error:
        raise DiagnosisError(f"the result of the diagnosis is not valid: {error!r}") from error


def _artifact(fields: Mapping[str, Any]) -> Artifact:
    def number(name: str) -> float:
        return math.nan if fields[name] is None else float(fields[name])

    return Artifact(
        kind=Kind(fields["kind"]),
        cause=str(fields["cause"]),
        size=number("size"),
        unit=str(fields["unit"]),
        error=number("error"),
        significance=number("significance"),
        evidence=str(fields["evidence"]),
        fix=str(fields["fix"]),
        remedy=Remedy(fields["remedy"]),
        frames=fields["frames"],
    )


def _last_words(complaint: str) -> str:
    lines = complaint.strip().splitlines() or ["no reason was given"]
    return lines[-1][:_LAST_WORDS]
