"""`experiments train`: one model with given parameters."""

from __future__ import annotations

from experiments.commands.candidate import make_candidate
from experiments.commands.config import Config
from experiments.commands.project import Project


def main(config: Config) -> None:
    project = Project(config)
    version = make_candidate(project, config.model.name, config.model.params)
    print(f"{version.name} version {version.number} ({config.model.name})")
    print(f"next: {project.again('promote')}")
