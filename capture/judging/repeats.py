"""Recognise frames that the camera delivers a second time, in the same set or in another set of the night.

This module performs no I/O.
"""

from collections.abc import Hashable


class NightDigests:
    """Digests that identify the pixels of a night's frames, each with the set in which it was first seen."""

    def __init__(self) -> None:
        self._sets: dict[bytes, Hashable] = {}

    def of_set(self, owner: Hashable) -> "SetDigests":
        """Return the digests for use by one set.

        Parameters
        ----------
        owner
            The settings of the set. If the set is judged again, for example with more frames, its settings must compare
        equal to the earlier ones.
        """
        return SetDigests(self._sets, owner)


class SetDigests:
    """The digests for one attempt at a set.

    A frame is a repeat if its pixels were already seen in this attempt or in another set. Frames from an earlier
    attempt at the same set are not repeats, because the frames on disk are judged again.
    """

    def __init__(self, sets: dict[bytes, Hashable], owner: Hashable) -> None:
        self._sets = sets
        self._owner = owner
        self._own: set[bytes] = set()

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._own or self.is_of_other_set(digest)

    def is_of_other_set(self, digest: bytes) -> bool:
        """Return whether these pixels were first seen in another set."""
        return self._sets.get(digest, self._owner) != self._owner

    def add(self, digest: bytes) -> None:
        """Record the pixels of a frame of this set."""
        self._own.add(digest)
        self._sets.setdefault(digest, self._owner)
