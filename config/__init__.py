"""The settings of a rig: the tables of the configuration, reading them from TOML, and the files that are shipped.

Start with `settings`, which puts the tables of the room `tables` together; `loading` reads a file and reports all its
mistakes with their lines; `starter` writes the commented file of `coldframe init`. `frames` has the words that every
layer shares. Simulated rigs (`simulated_rig`, `rigs/`) and their example nights (`examples`, `nights/`) are here too.

This is the lowest layer: it imports no other layer, opens no device, and knows no event loop.
"""
