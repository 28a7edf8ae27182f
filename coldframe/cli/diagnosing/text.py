"""The diagnosis as text for a terminal: the verdict first, then the findings, the most harmful first."""

import textwrap
from collections.abc import Iterator, Sequence

from coldframe.calibration.diagnosis.files import Stage
from coldframe.calibration.diagnosis.findings import Finding
from coldframe.operations.results import SetResult, findings, seen_down_to, size_text, untested, verdict
from coldframe.visible import visible

WIDTH = 80
_LABEL, _KIND = 10, 16


def text_of(results: Sequence[SetResult]) -> str:
    """Return the diagnoses of all sets as text, at most 80 columns wide except for long file names."""
    return "\n".join(line for block in _blocks(results) for line in (*block, "")).rstrip()


def _blocks(results: Sequence[SetResult]) -> Iterator[list[str]]:
    yield _wrapped(verdict(results), "", "")
    for result in results:
        yield list(_set_lines(result))
    every = findings(results)
    for number, (result, finding) in enumerate([each for each in every if each[1].matters], start=1):
        yield list(_finding_lines(number, finding, result.name if len(results) > 1 else None))
    small = [(result, finding) for result, finding in every if not finding.matters]
    if small:
        yield ["No effect on a stack of these lights:", *_small_lines(small)]
    yield list(_limit_lines(results))


def _set_lines(result: SetResult) -> Iterator[str]:
    found = result.found
    count = len(found.read)
    stage = found.read[0].stage
    processed = "" if stage is Stage.RAW else f", {stage}"
    yield from _wrapped(f"{count} {'light' if count == 1 else 'lights'}{processed}: {result.name}", "", "  ")
    read_raw = sum(light.source != light.path for light in found.read)
    if read_raw:
        yield from _labelled(
            "", f"the raw {'light was' if read_raw == 1 else 'lights were'} read: raw lights show more"
        )
    for master in found.masters:
        differences = "; ".join(master.differences)
        yield from _labelled(master.kind.value, master.path.name + (f" ({differences})" if differences else ""))
    if not found.masters:
        yield from _labelled("masters", "unknown")
    for note in result.notes:
        yield from _labelled("note", note)


def _finding_lines(number: int, finding: Finding, name: str | None) -> Iterator[str]:
    yield from _wrapped(finding.cause, f"{number}. ", "   ")
    yield from _labelled("kind", finding.kind.value)
    if name is not None:
        yield from _labelled("lights", name)
    yield from _labelled("size", f"{size_text(finding)}, significance {finding.significance:,.0f}")
    yield from _labelled("evidence", finding.evidence)
    yield from _labelled("fix", finding.fix)


def _small_lines(small: Sequence[tuple[SetResult, Finding]]) -> Iterator[str]:
    for _, finding in small:
        yield from _wrapped(f"{finding.cause}: {size_text(finding)}", "- ", "  ")


def _limit_lines(results: Sequence[SetResult]) -> Iterator[str]:
    seen, missing = seen_down_to(results), untested(results)
    if seen:
        yield "Artifacts above these sizes would have been found:"
        for kind, limit in seen.items():
            yield from _labelled(kind.value, f"{limit.size:.2g} {limit.unit} ({limit.what})", _KIND)
    if missing:
        if seen:
            yield ""
        yield "Not tested:"
        for kind, reason in missing.items():
            yield from _labelled(kind.value, reason, _KIND)


def _labelled(label: str, text: str, width: int = _LABEL) -> list[str]:
    return _wrapped(text, f"   {label:<{width}}", " " * (3 + width))


def _wrapped(text: str, first: str, following: str) -> list[str]:
    """Return text wrapped into lines, without unprintable characters; long names and commands are not broken."""
    return textwrap.wrap(
        visible(text),
        WIDTH,
        initial_indent=first,
        subsequent_indent=following,
        break_long_words=False,
        break_on_hyphens=False,
    )
