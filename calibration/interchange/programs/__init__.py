"""The rules by which other programs read and group files, as data; a rule without a source is an assumption.

Start with `model.Program`. Each program has a module, which defines one `Program` for each range of versions with the
same rules; `known` finds the `Program` for a version. This package must not read files.
"""
