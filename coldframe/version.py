"""The version of coldframe."""

from importlib.metadata import version

__version__ = version("coldframe")
