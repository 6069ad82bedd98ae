"""The version of this project."""

from importlib.metadata import PackageNotFoundError, version


def package_version() -> str:
    """Return the installed version; "0.0.0" where the project runs from a plain checkout."""
    try:
        return version("inpaint-deployment")
    except PackageNotFoundError:
        return "0.0.0"
