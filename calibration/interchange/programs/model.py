"""The form of a program's rules."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from coldframe.config.frames import FrameKind

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """The source of a rule.

    Attributes
    ----------
    work
        Repository or file, so that the place can be found.
    place
        Function, table or line in it.
    version
        Version of the program to which the source belongs.
    dated
        Date of the release or of the commit.
    """

    work: str
    place: str
    version: str
    dated: str

    def __str__(self) -> str:
        return f"{self.work}, {self.place} ({self.version}, {self.dated})"


class Compared(StrEnum):
    """A property by which a program distinguishes groups."""

    SIZE = "size"
    BINNING = "binning"
    FILTER = "filter"
    EXPOSURE = "exposure"
    GAIN = "gain"
    MOSAIC = "colour filter array"
    DEPTH = "colour depth"
    FOLDER = "folder"


@dataclass(frozen=True, slots=True)
class Rule:
    """A statement about a program, with its source.

    Attributes
    ----------
    name
        Short name, by which traps refer to the rule.
    says
        The statement.
    source
        Source of the rule; None if the source is unknown, so that the rule is an assumption.
    """

    name: str
    says: str
    source: Source | None


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Exposures that a program treats as equal.

    Attributes
    ----------
    seconds
        Maximum difference.
    relative
        Maximum difference between exposures of at least 1 s, relative to the longer one.
    reciprocal
        Between exposures below 1 s: the difference of their reciprocals must be smaller than this, 1/s.
    """

    seconds: float = 0.0
    relative: float = 0.0
    reciprocal: float = 0.0

    def equal(self, one_s: float, other_s: float) -> bool:
        """Return whether the program treats two exposures as equal."""
        difference = abs(one_s - other_s)
        if difference <= self.seconds:
            return True
        if min(one_s, other_s) >= 1:
            return difference <= self.relative * max(one_s, other_s)
        if min(one_s, other_s) > 0 and max(one_s, other_s) < 1:
            return abs(1 / one_s - 1 / other_s) < self.reciprocal
        return False


@dataclass(frozen=True, slots=True)
class Reading:
    """How a program reads a file.

    Attributes
    ----------
    kind_words
        Values of IMAGETYP in lower case without blanks, and the kinds that they stand for; empty if the program does
        not read them.
    kind_folders
        Names of folders that determine the kind, for programs that do not read IMAGETYP.
    unknown_kind
        The kind assigned to a file without a known kind; None if the file is ignored.
    exposure, filter_name, binning, gain, mosaic
        Keywords in the order of their preference; empty if the program does not read the value.
    takes_last
        True if the last keyword in the header wins, instead of the first in the order of preference.
    missing_filter
        Name of the group of frames without FILTER; None if the program does not define such a name.
    path_keywords
        True if names of folders and files may state keywords, such as GAIN_100.
    master_in_path
        True if a file whose path contains "master" counts as a master.
    master_suffixes
        Suffixes of the only masters that the program accepts; None if it accepts any.
    assumed_row_order
        ROWORDER of files without it; None if unknown.
    needs_float_range
        True if 32-bit floats need DATAMIN and DATAMAX.
    full_range_above
        Images of floats whose highest value exceeds this are divided by 65,535; None if the program does not.
    whole_gain
        True if GAIN is read as a whole number.
    kind_names
        Names of files, without suffix, that determine the kind.
    tab_folders
        Prefix of folder names that represent the group tabs of the program; empty if it has no tabs.
    """

    kind_words: Mapping[str, FrameKind]
    kind_folders: Mapping[str, FrameKind]
    unknown_kind: FrameKind | None
    exposure: tuple[str, ...]
    filter_name: tuple[str, ...]
    binning: tuple[str, ...]
    gain: tuple[str, ...]
    mosaic: tuple[str, ...]
    takes_last: bool = False
    missing_filter: str | None = None
    path_keywords: bool = False
    master_in_path: bool = False
    master_suffixes: frozenset[str] | None = None
    assumed_row_order: str | None = None
    needs_float_range: bool = False
    full_range_above: float | None = None
    whole_gain: bool = False
    kind_names: Mapping[str, FrameKind] = field(default_factory=dict)
    tab_folders: str = ""


@dataclass(frozen=True, slots=True)
class Grouping:
    """How a program groups the frames of one kind.

    Attributes
    ----------
    compared
        Properties that the frames of a group share.
    tolerance
        Exposures that count as equal.
    master_tolerance
        Exposures of masters that count as equal.
    """

    compared: frozenset[Compared]
    tolerance: Tolerance = Tolerance()
    master_tolerance: Tolerance | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """How a program chooses the group that calibrates frames.

    Attributes
    ----------
    calibrated, with_kind
        Kinds of the frames and of the group.
    must_share
        Properties that must be equal.
    prefers
        Properties that should be equal or as near as possible, the most important first.
    within_s
        Maximum difference of the exposures, if there is a bias group; None without a limit.
    """

    calibrated: FrameKind
    with_kind: FrameKind
    must_share: frozenset[Compared]
    prefers: tuple[Compared, ...] = ()
    within_s: float | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """The rules of a program.

    Attributes
    ----------
    name
        Name on the command line.
    title
        Display name.
    since
        First version for which the rules hold.
    verified
        Versions whose source or documentation was read; other versions are assumed to have the same rules.
    reading, grouping, choices
        The rules as data.
    rules
        The same rules as statements, with their sources.
    """

    name: str
    title: str
    since: Version
    verified: tuple[str, ...]
    reading: Reading
    grouping: Mapping[FrameKind, Grouping]
    choices: tuple[Choice, ...]
    rules: tuple[Rule, ...]

    def rule(self, name: str) -> Rule:
        """Return the rule with a name; every program that can trigger a trap has the rule that the trap names."""
        return next(rule for rule in self.rules if rule.name == name)
