"""The colour filter arrays whose channels are separated."""

BAYER_PATTERNS = ("RGGB", "BGGR", "GRBG", "GBRG")
