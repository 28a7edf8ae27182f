"""The public Python API, which the package `coldframe` exports.

Start with `combining`. Each function translates its arguments to the request of an operation, collects the operation's
messages, and returns a plain result. The computations are the same as those of the commands. Nothing here prints.
"""
