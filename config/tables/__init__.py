"""The tables of a configuration; each module contains one table or a few related tables.

The meaning, bounds and default of every field are defined here; the starter file, the error messages and the guide are
generated from them. Start with `rig`. A table checks only itself; `coldframe.config.settings` combines the tables and
checks them against each other. Nothing here reads a file or uses a device.
"""
