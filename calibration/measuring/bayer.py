"""The colour filter arrays whose channels can be separated."""

BAYER_PATTERNS = ("RGGB", "BGGR", "GRBG", "GBRG")
