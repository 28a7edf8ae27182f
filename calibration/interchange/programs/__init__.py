"""The published rules that other programs follow to read and group files, as data; each rule has its source.

Start with `model.Program`. Each program has a module with one `Program` for each range of versions whose rules differ;
`known` finds the one for a version. This package must not read files.
"""
