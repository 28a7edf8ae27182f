"""The settings of a rig: the tables of the configuration, the reader for TOML files, and the shipped files.

Start with `settings`, which combines the tables of the package `tables`. `loading` reads a file, and reports every
mistake in it with its line; `starters` writes the files for `coldframe init`. `frames` defines the terms that all
layers share. `simulated_rig` and `examples` read the shipped rigs and their example nights.

This is the lowest layer: it imports no other layer, opens no device, and uses no event loop.
"""
