"""The signatures of all commands: arguments, options, help texts, and checks that need nothing but the arguments.

Each function hands over to the module of the command's work, such as `coldframe.cli.run`, which it imports only when
called: `coldframe --help` must not wait for numpy and numba. So nothing in this room may import more than typer at the
top of a module. Options that several commands share are in `coldframe.cli.options`.
"""
