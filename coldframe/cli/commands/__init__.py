"""The signatures of all commands: arguments, options, help texts, and checks that need only the arguments.

Each function calls the module that implements the command, such as `coldframe.cli.run`. It imports that module
only when it is called, because `coldframe --help` must not wait for numpy and numba. Therefore, at the top of a module
in this package, import nothing heavier than typer. Options that several commands share are in `coldframe.cli.options`.
"""
