"""The morning report of a night that has just ended."""

import logging
from pathlib import Path

from coldframe.calibration.files.durable import NotDurableError
from coldframe.capture.monitoring.report.runs import NoNightError
from coldframe.operations.nights.audience import Audience

log = logging.getLogger(__name__)


def report_after(folder: Path, audience: Audience) -> None:
    """Write the report of a night that has just ended, and report its path; never raise an error.

    A failure is reported; it does not change the outcome of the night.
    """
    try:
        # Imported only at the end of a night, because an error in the page or the charts must not prevent the night.
        from coldframe.capture.monitoring.report.making import make_report  # noqa: PLC0415

        page = make_report(folder, is_over=True).page
        log.info("report: %s", page)
        audience.line(f"report: {page}")
    except (NoNightError, NotDurableError, OSError) as error:  # not logged: the disk may be full
        audience.notice(f"{folder}: the report was not written: {error}")
    except Exception as error:  # the boundary: the night is over, and its exit code must not change
        log.exception("the report failed")
        audience.notice(f"{folder}: the report was not written: {error}")
