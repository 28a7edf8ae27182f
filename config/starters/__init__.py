"""The configurations that `coldframe init` writes for the devices of an INDI server.

Start with `short`, which writes the settings that a person must decide; `full` writes every setting with its
explanation. Both take a `rig_survey`, which describes the rig and derives settings from good practice. This package
reads no file and asks no device.
"""
