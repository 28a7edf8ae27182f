"""What the driver of a camera offers, apart from its readout settings: features, shutter times and file formats.

Start with `features`, which describes a camera for the other packages. `shutter` and `file_format` know the habits of
the drivers for DSLRs.
"""
