"""The setup of a frame, the choice of the masters that fit it, and its overscan.

Start with `setup.FrameSetup`, which contains the camera setting, filter and optical train from a header. `spellings`
lists the keywords and words of all programs, and `card_values` distinguishes present, absent and unreadable values.
`matching` applies the `rules` to find the master that fits a light, and explains why other masters do not fit.
`overscan` reads the sections in a header, and subtracts and trims the overscan. This package must not combine frames.
"""
