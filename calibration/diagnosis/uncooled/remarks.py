"""Remarks for the user about the choice of darks; one remark covers several choices with the same outcome."""

from collections.abc import Sequence

from coldframe.calibration.diagnosis.uncooled.dark_choice import DarkChoice
from coldframe.calibration.diagnosis.uncooled.thermometer import Measured
from coldframe.calibration.frames.rules import Tolerances

LARGEST_SPREAD_C = 2.0
"""Temperature difference between lights with the same dark above which a remark is made. Stars on hot pixels and the
errors of single lights explain only smaller differences."""


def remarks_on(choices: Sequence[DarkChoice]) -> list[str]:
    """Return the remarks for the user about choices with the same outcome, each as a sentence."""
    dark, proposed = choices[0].dark, choices[0].proposed
    measured = [choice.measured for choice in choices if choice.measured is not None]
    if not measured:
        why = "its hot pixels do not show the temperature of the lights, so only the headers were compared"
        return [f"dark {dark.name}: {why}"] if choices[0].is_compared else []
    remarks = []
    if dark != proposed and not choices[0].is_refused:
        first = _degrees([choice.first for choice in choices if choice.first is not None])
        remarks.append(
            f"dark {dark.name} replaces {proposed.name}: judging by the hot pixels, the lights were {first} than the "
            "latter"
        )
    spread_c = max(each.spread_c for each in measured)
    if spread_c > LARGEST_SPREAD_C:
        remarks.append(
            f"judging by the hot pixels, the temperatures of the lights differ by {spread_c:.1f} C, although the "
            "headers agree: calibrate the lights in smaller groups"
        )
    remarks += _contradictions(choices)
    noticeable = [each for each in measured if each.is_noticeable]
    if noticeable and not choices[0].is_refused:
        remarks.append(f"judging by the hot pixels, the lights were {_degrees(noticeable)} than dark {dark.name}")
    return remarks


def refusal_of(choices: Sequence[DarkChoice]) -> str:
    """Return why no dark fits the lights of refused choices with the same outcome, and which darks to shoot."""
    measured = [choice.measured for choice in choices if choice.measured is not None]
    dark_c = choices[0].dark_c
    wanted = "" if dark_c is None else f" at about {_range([dark_c + each.warmer_c for each in measured], '.0f')} C"
    found = f"judging by the hot pixels, the lights were {_degrees(measured)} than the nearest dark"
    return f"{found}, and the tolerance is {Tolerances().uncooled_c:g} C: shoot darks{wanted}"


def _contradictions(choices: Sequence[DarkChoice]) -> list[str]:
    """Return a remark if the headers contradict the hot pixels."""
    found = [
        (choice.stated_c, choice.measured)
        for choice in choices
        if choice.is_contradicted and choice.stated_c is not None and choice.measured is not None
    ]
    if not found:
        return []
    stated = _range([stated_c for stated_c, _ in found], "+.1f")
    shown = _range([measured.warmer_c for _, measured in found], "+.1f")
    error = found[0][1].error_text if len(found) == 1 else ""
    found_both = f"the lights differ from the dark by {stated} C in the headers and by {shown}{error} C in hot pixels"
    return [f"{found_both}: a thermometer, or the exposure or ISO value of the dark, may be wrong"]


def _degrees(measured: Sequence[Measured]) -> str:
    """Return temperature differences as text, such as "1.0 to 1.9 C warmer"."""
    if len(measured) == 1:
        return str(measured[0])
    low_c, high_c = min(each.warmer_c for each in measured), max(each.warmer_c for each in measured)
    if low_c < 0 < high_c:
        return f"{-low_c:.1f} C colder to {high_c:.1f} C warmer"
    return f"{_range([abs(low_c), abs(high_c)], '.1f')} C {'warmer' if high_c > 0 else 'colder'}"


def _range(values: Sequence[float], form: str) -> str:
    """Return the smallest and the largest value as text, or only one if both have the same text."""
    return " to ".join(dict.fromkeys(format(each, form) for each in (min(values), max(values))))
