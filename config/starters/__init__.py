"""The configurations that `coldframe init` writes for the devices of an INDI server.

Start with `short`, which writes the settings that the user must choose; `full` writes every setting with its
explanation. Both take a `rig_survey`, which describes the rig and derives settings from good practice. This package
reads no file and queries no device.
"""
