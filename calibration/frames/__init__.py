"""How a frame was shot, which frames belong together, and what to do with its overscan.

Start with `setup.FrameSetup`: it holds the camera setting, filter and optical train from a header. `matching` finds
the master that fits a light, and says why others do not. `overscan` reads the sections of a header, subtracts the
overscan and trims it. Nothing here combines frames.
"""
