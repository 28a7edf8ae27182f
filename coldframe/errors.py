"""The base class of all exceptions that coldframe defines, and the error for a missing optional package."""

import shlex
import sys
from importlib.util import find_spec


class ColdframeError(Exception):
    """Base class of coldframe's exceptions; scripts can use it to catch all of them in one clause."""


NEEDED_FOR = {
    "pyindi-client": "commands that use devices",
    "rawpy": "camera raws",
    "lz4": "XISF files compressed with LZ4",
    "zstandard": "XISF files compressed with Zstandard",
    "apprise": "notifications ([notify])",
    "distributed": "Dask clusters (--dask)",
    "tornado": "pages for browsers",
}
"""For each optional package, the files or features that need it, in the plural."""


class MissingPackageError(ColdframeError):
    """An optional package is not installed, but files or a feature need it.

    Unlike an error in a single file, this error ends the command, because it affects all files of a format.

    Attributes
    ----------
    package
        Name of the package, a key of `NEEDED_FOR`.
    """

    def __init__(self, package: str) -> None:
        super().__init__(f"{NEEDED_FOR[package]} need {package}, which is not installed: {install_command(package)}")
        self.package = package

    def __reduce__(self) -> tuple[type["MissingPackageError"], tuple[str]]:
        # By default, pickle rebuilds an exception from its message.
        return type(self), (self.package,)


def install_command(package: str) -> str:
    """Return the shell command that installs a package into the environment in which coldframe runs."""
    python = shlex.quote(sys.executable)
    pip = f"{python} -m pip install" if find_spec("pip") else f"uv pip install --python {python}"
    # pip would also install packages that pyindi-client requires but never imports, and one of them needs a compiler.
    return f"{pip} --no-deps {package}" if package == "pyindi-client" else f"{pip} {package}"
