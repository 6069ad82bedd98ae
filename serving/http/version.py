"""The version of this project."""

from importlib.metadata import PackageNotFoundError, version


def package_version() -> str:
    """Return the installed version, or "0.0.0" if the project runs from a checkout without being installed."""
    try:
        return version("inpaint-deployment")
    except PackageNotFoundError:
        return "0.0.0"
