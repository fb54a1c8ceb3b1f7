"""A step of the build that pyproject.toml cannot state: a wheel holds conf/ inside the package `experiments`."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfiguration(build_py):
    """Build of the packages, with conf/ beside the code; an editable install reads the checkout's own."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            conf = Path(__file__).parent / "conf"
            for file in conf.rglob("*.yaml"):
                copy = Path(self.build_lib, "experiments", "conf", file.relative_to(conf))
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)


setup(cmdclass={"build_py": BuildWithConfiguration})
