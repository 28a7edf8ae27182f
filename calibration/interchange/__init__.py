"""Files for other programs: how each program groups files, what it gets wrong, and folders that it groups correctly.

Start with `linting.lint`, which judges files, or `export.export`, which arranges masters and raw frames. `programs/`
holds the rules by which each program reads and groups files, as data; `reading`, `groups` and `traps` interpret them.
`layouts` plans folders and names, and `xisf` writes PixInsight's format. This package must not combine or calibrate
frames.
"""
