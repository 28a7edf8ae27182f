"""The public Python API, which the package `coldframe` exports.

Start with `combining`. Each function translates its arguments into the request of an operation, collects the
messages of the operation, and returns a plain result. The computations are the same as those of the commands. Nothing
here prints.
"""
