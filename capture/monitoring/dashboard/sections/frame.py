"""The statistics and the histogram of the last frame."""

from rich.text import Text

from coldframe.capture.monitoring.dashboard.drawing import NOTE, QUIET, STRONG, WARN, histogram
from coldframe.capture.monitoring.dashboard.sections.pane import Pane
from coldframe.capture.monitoring.progress.quantities import noise_text


def draw_frame_facts(pane: Pane) -> list[Text]:
    """Draw the level, noise and saturation of the last frame."""
    frame = pane.state.frame
    if frame is None:
        return [Text("no frame yet", QUIET)]
    figures = frame.statistics
    line = Text.assemble(
        ("level ", QUIET),
        (f"{figures.level_adu:,.0f}", STRONG),
        ("  noise ", QUIET),
        (noise_text(figures.noise_adu), STRONG),
        (" ADU", QUIET),
    )
    if figures.saturated_fraction > 0:
        line.append(f"  clipped {100 * figures.saturated_fraction:.2g} %", WARN)
    return [line]


def draw_histogram(pane: Pane) -> list[Text]:
    """Draw the histogram of the last frame, with the levels at both ends and in the middle."""
    shown = pane.state.shown
    if shown is None or pane.height < 2:  # noqa: PLR2004 - bars and scale
        return []
    bars = histogram(shown.histogram, pane.width, pane.height - 1, pane.glyphs)
    last_adu = shown.first_adu + len(shown.histogram) * shown.bin_adu - 1
    start, middle, end = (f"{adu:,}" for adu in (shown.first_adu, (shown.first_adu + last_adu) // 2, last_adu))
    scale = f"{start}{middle:^{max(pane.width - len(start) - len(end), 0)}}{end}"
    return [*(Text(line, NOTE) for line in bars), Text(scale if len(scale) <= pane.width else "", QUIET)]
