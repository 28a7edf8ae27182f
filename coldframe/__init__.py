"""Unattended end-of-night calibration frames for INDI rigs."""

from importlib.metadata import version

__version__ = version("coldframe")
