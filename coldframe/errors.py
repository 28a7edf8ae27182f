"""The root of every exception that coldframe raises on purpose."""


class ColdframeError(Exception):
    """Base class of coldframe's exceptions, so that scripts can catch them all in one clause."""
