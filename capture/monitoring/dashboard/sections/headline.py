"""The headline, with a verdict on the night, its expected end, and the current activity."""

from datetime import timedelta

from rich.style import Style
from rich.text import Text

from coldframe.capture.events.values import ExposurePurpose, NightOutcome, Severity, SkippedBy
from coldframe.capture.monitoring.dashboard.drawing import BAD, GOOD, NOTE, PLAIN, QUIET, STRONG, WARN, bar, fit
from coldframe.capture.monitoring.dashboard.sections.pane import Pane, spread
from coldframe.capture.monitoring.progress.pace import StepProgress
from coldframe.capture.monitoring.progress.quantities import duration_text, exposure_text, printable
from coldframe.capture.monitoring.progress.state import DashboardState


def verdict(pane: Pane) -> Text:
    """Summarise the night in a few words."""
    state, glyphs = pane.state, pane.glyphs
    if state.ended is not None:
        return _final_verdict(pane)
    if state.night is None:
        return Text(f"{glyphs.waiting} Waiting for the night to begin", NOTE)
    if state.lost_at is not None:
        return Text(f"{glyphs.warning} No contact since {pane.clock(state.lost_at)}", Style.combine([WARN, STRONG]))
    if state.paused is not None:
        words = "Pausing after this frame" if _is_exposing(pane) else f"Paused since {pane.clock(state.paused.at)}"
        return Text(f"{glyphs.paused} {words}", Style.combine([WARN, STRONG]))
    return _verdict_under_way(pane)


def _verdict_under_way(pane: Pane) -> Text:
    state, glyphs = pane.state, pane.glyphs
    if state.is_stopping:
        return Text(f"{glyphs.warning} Ending, making the rig safe", Style.combine([WARN, STRONG]))
    missing = [step for step in state.missing if step.skipped_by is not SkippedBy.USER]
    if missing:
        what = printable(missing[0].planned.title) if len(missing) == 1 else f"{len(missing)} steps"
        return Text(fit(f"{glyphs.failed} {what} not done, continuing", pane.width - 26, glyphs), BAD)
    if any(problem.severity is Severity.ERROR for problem in state.problems):
        return Text(f"{glyphs.failed} Errors, continuing", BAD)
    if state.problems:
        count = len(state.problems)
        warnings = "1 warning" if count == 1 else f"{count} warnings"
        return Text(f"{glyphs.warning} Running, {warnings}", WARN)
    return Text(f"{glyphs.done} All well", Style.combine([GOOD, STRONG]))


def _is_exposing(pane: Pane) -> bool:
    exposure = pane.state.exposure
    return exposure is not None and (pane.now - exposure.at).total_seconds() < exposure.exposure_s


_FINAL = {
    NightOutcome.COMPLETE: ("done", "Complete", GOOD),
    NightOutcome.INCOMPLETE: ("warning", "Ended, incomplete", WARN),
    NightOutcome.INTERRUPTED: ("warning", "Interrupted", WARN),
    NightOutcome.ABORTED: ("failed", "Aborted", BAD),
}


def _final_verdict(pane: Pane) -> Text:
    assert pane.state.ended is not None
    sign, words, style = _FINAL[pane.state.ended.outcome]
    return Text(f"{getattr(pane.glyphs, sign)} {words}", Style.combine([style, STRONG]))


def draw_headline(pane: Pane) -> list[Text]:
    """Draw one line each for the verdict, the progress with the expected end, and the current activity."""
    return [
        spread(Text.assemble(" ", verdict(pane)), Text(f"{_position(pane)} ", PLAIN), pane.width),
        _progress(pane),
        _activity(pane),
    ]


def _position(pane: Pane) -> str:
    """Return the number of the current step and the time."""
    parts = []
    if (step := pane.state.step) is not None:
        parts.append(f"step {step.planned.number} of {len(pane.state.steps)}")
    parts.append(pane.clock(pane.now))
    return pane.glyphs.dot.join(parts)


def _progress(pane: Pane) -> Text:
    outlook = ending(pane)
    fraction = pane.state.done_fraction(pane.state.lost_at or pane.now)
    percent = f"{100 * fraction:3.0f} %"
    room = max(pane.width - len(outlook) - len(percent) - 6, 4)
    return Text.assemble(" ", bar(fraction, room, pane.glyphs), f"  {percent}  ", (outlook, STRONG), " ")


def ending(pane: Pane) -> str:
    """Return the expected end of the night (the earliest possible end if overdue), or the time at which it ended."""
    state = pane.state
    if state.ended is not None:
        return f"ended at {pane.clock(state.ended.at, '%H:%M')}"
    if state.night is None:
        return "no plan yet"
    if state.lost_at is not None:
        return f"last contact at {pane.clock(state.lost_at, '%H:%M')}"
    outlook = state.outlook(pane.now)
    if state.paused is not None:
        return f"paused, {duration_text(outlook.remaining_s)} to go"
    at = pane.clock(pane.now + timedelta(seconds=outlook.remaining_s), "%H:%M")
    left = duration_text(outlook.remaining_s)
    if outlook.overdue:
        return f"done not before {at}, in {left} or more"
    return f"done about {at}, in {left}"


def _activity(pane: Pane) -> Text:
    """Describe the current activity."""
    state = pane.state
    if state.ended is not None:
        text = " ".join(filter(None, [state.lights_sentence, state.ended.summary]))
        return Text(f" {fit(printable(text), pane.width - 2, pane.glyphs)}")
    step = state.step
    if step is None:
        words = "no event yet" if state.night is None else "between steps"
        return Text(f" {words}", QUIET)
    left = Text.assemble(
        f" {pane.glyphs.running} ", (fit(step_words(step, state), pane.width // 2, pane.glyphs), STRONG)
    )
    room = pane.width - left.cell_len - 4
    return Text.assemble(left, "   ", _exposing(pane, room))


_PURPOSE_WORDS = {
    ExposurePurpose.CAMERA: "measuring the camera",
    ExposurePurpose.BIAS_LEVEL: "measuring the bias level",
    ExposurePurpose.GAIN: "checking the gain",
}


def step_words(step: StepProgress, state: DashboardState) -> str:
    """Return the title of a step with its count, or with the tuner's progress."""
    title = printable(step.planned.title)
    if state.is_tuning and state.tuning is not None:
        return f"{title}: finding the exposure, test {len(state.tuning.tests)}"
    if state.exposure is not None and (words := _PURPOSE_WORDS.get(state.exposure.purpose)):
        return f"{title}: {words}"
    return f"{title}  {step.accepted}/{step.planned.count}" if step.planned.kind else title


def _exposing(pane: Pane, room: int) -> Text:
    """Draw the current exposure, with a progress bar if the exposure is long."""
    exposure, state = pane.state.exposure, pane.state
    if state.lost_at is not None:
        return Text("was running", WARN)
    if state.paused is not None and not _is_exposing(pane):
        return Text(fit("no exposure until the night is resumed", room, pane.glyphs), WARN)
    if exposure is None:
        return Text(fit(printable(state.cooling or ""), room, pane.glyphs))
    passed_s = max((pane.now - exposure.at).total_seconds(), 0.0)
    total = exposure_text(exposure.exposure_s)
    if exposure.exposure_s < 5:  # noqa: PLR2004 - seconds; a shorter bar would only flicker
        return Text(fit(f"exposing {total}", room, pane.glyphs))
    if passed_s >= exposure.exposure_s:
        return Text(fit(f"reading out {total}", room, pane.glyphs))
    words = f"exposing {passed_s:.0f} of {total} "
    return Text.assemble(words, bar(passed_s / exposure.exposure_s, min(max(room - len(words), 0), 30), pane.glyphs))
