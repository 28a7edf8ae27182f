"""The form in which the rules of a program are stored."""

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
        Repository or script in which the place can be found.
    place
        Function, table or line that contains the rule.
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
    """A property that a program uses to distinguish groups."""

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
        Short name by which traps refer to the rule.
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
    """The differences up to which a program treats exposures as equal.

    Attributes
    ----------
    seconds
        Maximum difference, seconds.
    relative
        Maximum difference between exposures of at least 1 s, relative to the longer one.
    reciprocal
        Limit, 1/s; exposures below 1 s count as equal if their reciprocals differ by less than this limit.
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
        not read IMAGETYP.
    kind_folders
        Names of folders that determine the kind, for programs that do not read IMAGETYP.
    unknown_kind
        The kind assigned to a file without a known kind; None if the file is ignored.
    exposure, filter_name, binning, gain, mosaic
        Keywords from which the program reads the value, in order of preference; empty if it does not read the value.
    takes_last
        True if, of several keywords for a value, the program uses the one that comes last in the header, not the
        preferred one.
    missing_filter
        Filter name that the program assigns to frames without FILTER; None if it assigns no name.
    path_keywords
        True if the program reads keywords, such as GAIN_100, from the names of folders and files.
    master_in_path
        True if a file whose path contains "master" counts as a master.
    master_suffixes
        Suffixes of masters that the program accepts; None if it accepts any suffix.
    assumed_row_order
        Row order that the program assumes if ROWORDER is missing; None if the assumption is unknown.
    needs_float_range
        True if the program needs DATAMIN and DATAMAX to read 32-bit floats correctly.
    full_range_above
        Limit for the highest value of a floating-point image. If this value is above the limit, the program divides the
        image by 65,535. None if it never does so.
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
        Differences up to which exposures count as equal.
    master_tolerance
        Differences up to which the exposures of masters count as equal; None if `tolerance` also applies to masters.
    """

    compared: frozenset[Compared]
    tolerance: Tolerance = Tolerance()
    master_tolerance: Tolerance | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """How a program chooses the group with which it calibrates frames.

    Attributes
    ----------
    calibrated, with_kind
        Kind of the frames to calibrate, and kind of the frames that calibrate them.
    must_share
        Properties that must be the same for the frames of both kinds.
    prefers
        Properties that should be the same or as near as possible, the most important first.
    within_s
        Limit, seconds. If there is a bias group, the exposures of both kinds must differ by less than this limit. None
        for no limit.
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
        """Return the rule with the given name; a program has all the rules that are named in its traps."""
        return next(rule for rule in self.rules if rule.name == name)
