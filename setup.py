"""Add the models that ship to what is built; everything else is in pyproject.toml."""

from pathlib import Path
from shutil import copyfile

from setuptools import setup
from setuptools.command.build_py import build_py

_FILES = ("models/inpaint.onnx", "models/inpaint-int8.onnx", "models/marks/marks.onnx", "models/README.md")


class BuildWithModel(build_py):
    """Copy the models and their card into the package `serving`, except for an editable installation."""

    def run(self) -> None:
        """Build the packages."""
        super().run()
        if not self.editable_mode:
            for file in _FILES:
                target = Path(self.build_lib, "serving", "default", Path(file).relative_to("models"))
                self.mkpath(str(target.parent))
                copyfile(file, target)

    def get_source_files(self) -> list[str]:
        """List the files that an sdist needs."""
        return [*super().get_source_files(), *_FILES]


setup(cmdclass={"build_py": BuildWithModel})
