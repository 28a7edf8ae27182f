"""The groups into which a program sorts files, and the groups with which it calibrates each group."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from coldframe.calibration.interchange.programs.model import Choice, Compared, Program, Tolerance
from coldframe.calibration.interchange.reading import Seen
from coldframe.config.frames import FrameKind


@dataclass(eq=False, slots=True)
class Group:
    """Files that a program stacks together.

    Attributes
    ----------
    kind
        Kind of the frames, as the program sees it.
    frames
        The files; all agree with the first file in the properties that the program compares.
    takes
        For each kind, the group with which the program calibrates this group; None if the program finds none.
    """

    kind: FrameKind
    frames: list[Seen]
    takes: "dict[FrameKind, Group | None]" = field(default_factory=dict)

    @property
    def first(self) -> Seen:
        """The file that represents the group."""
        return self.frames[0]


def groups_of(program: Program, files: Iterable[Seen]) -> list[Group]:
    """Return the groups of files that a program stacks, each with the groups that calibrate it.

    Files that the program ignores or refuses are in no group. As in the programs, each file joins the first group whose
    first file agrees with it in the compared properties.
    """
    groups: list[Group] = []
    for seen in files:
        if seen.kind is None or seen.refused:
            continue
        group = next((each for each in groups if each.kind is seen.kind and _joins(program, seen, each)), None)
        if group is None:
            groups.append(Group(seen.kind, [seen]))
        else:
            group.frames.append(seen)
    for group in groups:
        for choice in program.choices:
            if choice.calibrated is group.kind and not group.first.is_master:
                group.takes[choice.with_kind] = _chosen(program, choice, group, groups)
    return groups


def _joins(program: Program, seen: Seen, group: Group) -> bool:
    rule = program.grouping[group.kind]
    first = group.first
    if seen.keywords != first.keywords:
        return False
    tolerance = rule.tolerance
    if rule.master_tolerance is not None and seen.is_master:
        tolerance = rule.master_tolerance
    return all(_shares(compared, seen, first, tolerance) for compared in rule.compared)


def _shares(compared: Compared, one: Seen, other: Seen, tolerance: Tolerance) -> bool:
    match compared:
        case Compared.EXPOSURE:
            return tolerance.equal(one.exposure_s, other.exposure_s)
        case Compared.FOLDER:
            return one.folder == other.folder
        case Compared.MOSAIC:
            return (one.mosaic is None) == (other.mosaic is None)
    return _value(compared, one) == _value(compared, other)


def _value(compared: Compared, seen: Seen) -> object:
    match compared:
        case Compared.SIZE:
            return seen.setup.width, seen.setup.height
        case Compared.BINNING:
            return seen.binning
        case Compared.FILTER:
            return seen.filter_name
        case Compared.GAIN:
            return seen.gain
        case Compared.DEPTH:
            return seen.depth
    return None


def _chosen(program: Program, choice: Choice, group: Group, groups: Sequence[Group]) -> Group | None:
    fitting = [
        each for each in groups if each.kind is choice.with_kind and _may_calibrate(program, choice, group, each)
    ]
    has_bias = any(each.kind is FrameKind.BIAS for each in groups)
    if choice.within_s is not None and has_bias:
        near = choice.within_s
        fitting = [each for each in fitting if abs(each.first.exposure_s - group.first.exposure_s) < near]
    if not fitting:
        return None
    most = max(_shared_keywords(group, each) for each in fitting)
    best = [each for each in fitting if _shared_keywords(group, each) == most]
    tolerance = program.grouping[choice.with_kind].tolerance
    return min(best, key=lambda each: _distance(choice, group, each, tolerance))


def _may_calibrate(program: Program, choice: Choice, group: Group, other: Group) -> bool:
    wanted = dict(group.first.keywords)
    if any(wanted.get(keyword) != value for keyword, value in other.first.keywords):
        return False
    # Frames in the main group are used for every group tab.
    if program.reading.tab_folders and other.first.folder not in {"", group.first.folder}:
        return False
    return all(_shares(compared, group.first, other.first, Tolerance()) for compared in choice.must_share)


def _shared_keywords(group: Group, other: Group) -> int:
    return len(set(group.first.keywords) & set(other.first.keywords))


def _distance(choice: Choice, group: Group, other: Group, tolerance: Tolerance) -> tuple[float, ...]:
    distances: list[float] = []
    for compared in choice.prefers:
        if compared is Compared.EXPOSURE:
            one_s, other_s = group.first.exposure_s, other.first.exposure_s
            near = tolerance.relative > 0 and tolerance.equal(one_s, other_s)
            distances.append(0.0 if near else abs(one_s - other_s))
        else:
            distances.append(float(not _shares(compared, group.first, other.first, tolerance)))
    return (*distances, -float(len(other.frames)))
