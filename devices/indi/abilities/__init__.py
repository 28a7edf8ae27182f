"""A camera driver's capabilities, apart from its readout settings: features, shutter times and file formats.

Start with `features`, which describes a camera for the other packages. `shutter` and `file_format` handle the
peculiarities of drivers for DSLRs.
"""
