"""The tables of a configuration, one or a few related ones to a module.

Every field has its meaning, bounds and default here: the starter file, the error messages and the guide are made from
them. Start with `rig`. A table checks only itself; `coldframe.config.settings` puts the tables together and checks them
against each other. Nothing here reads a file, and nothing here knows a device.
"""
