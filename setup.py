"""What pyproject.toml cannot say: the folder conf/ of the repository is installed inside the package `experiments`."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages("src"), "experiments.conf"],
    package_dir={"": "src", "experiments.conf": "conf"},
    package_data={"experiments.conf": ["**/*.yaml"]},
)
