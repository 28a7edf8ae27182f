"""The base class of all exceptions that coldframe defines."""


class ColdframeError(Exception):
    """Base class of coldframe's exceptions, with which scripts can catch all of them in one clause."""
