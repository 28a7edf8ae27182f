"""The sizes of bins and blocks, and the sums of blocks; see `diagnosis.py`."""

BIN = 4
"""Side of a bin or block, in pixels of one colour."""

PIXELS = BIN * BIN

BLOCKS = 0
LEVEL = 1
SIGNAL = 2
RESPONSE_PRODUCT = 3
RESPONSE_SQUARE = 4
RESPONSE_ERROR = 5
SCATTER = 6
DARK_VARIANCE = 7
FLAT_VARIANCE = 8
DARK = 9
SIGNAL_ERROR = 10
NEAR_SCATTER = 11
SUMS = 12
"""Indices and number of the sums of a tile."""
