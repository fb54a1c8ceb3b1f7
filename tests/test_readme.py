"""The commands of README and the guides: composed as typed, and (slow) run one after the other in three folders."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.projects.utils import load_project

from experiments.commands import compose, main
from experiments.workflow.config import Config
from experiments.workflow.session import Session
from preloaded import preloaded
from workplace import BIN, ROOT, copy_work, environment

README, GUIDES = ROOT / "README.md", sorted((ROOT / "docs").glob("*.md"))
PAGES = [README, *GUIDES]
SHOP = "complete_journey"
SERVERS = ("experiments ui", "mlflow models serve")  # tests/experiments/test_serving.py runs these


def blocks(pages: Sequence[Path] = PAGES) -> list[str]:
    return [
        block
        for page in pages
        for block in re.findall(r"^```sh\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    ]


def names(guide: Path, shop: str) -> bool:
    """Return True if a guide's commands name a shop."""
    return any(f"data={shop}" in block for block in blocks([guide]))


# The commands of each part run in a folder of their own, so that two processes share them.
RECOMMENDATION = [ROOT / "docs" / "recommendation.md"]
OF_README = [
    guide for guide in GUIDES if names(guide, SHOP) and not names(guide, "cdnow") and guide not in RECOMMENDATION
]
OTHERS = [guide for guide in GUIDES if guide not in [*OF_README, *RECOMMENDATION]]


def script(pages: Sequence[Path] = PAGES, first: str = "set -eu") -> str:
    """Return the pages' blocks as one script after the given first lines, without servers, each command once."""
    lines: list[str] = []
    for line in "".join(blocks(pages)).splitlines():
        if not line.startswith(SERVERS) and not (line.startswith("experiments ") and line in lines):
            lines.append(line)
    return "\n".join([first, *lines])


def write_online_retail(path: Path) -> None:
    """A simulated shop in the layout of UCI's Online Retail: 400 customers, 380 days."""
    rng = np.random.default_rng(0)
    orders = [
        (customer, day)
        for customer, rate in enumerate(rng.gamma(1.0, 0.02, size=400))
        for day in np.flatnonzero(rng.random(380) < rate + 0.002)
    ]
    customers, days = np.array(orders).T
    pd.DataFrame(
        {
            "InvoiceNo": np.arange(536365, 536365 + len(orders)),
            "StockCode": rng.integers(20000, 20050, size=len(orders)),
            "Description": "LANTERN",
            "Quantity": rng.integers(1, 12, size=len(orders)),
            "InvoiceDate": (pd.Timestamp("2010-12-01 08:26") + pd.to_timedelta(days, unit="D")).strftime(
                "%m/%d/%Y %H:%M"
            ),
            "UnitPrice": rng.gamma(4, 1, size=len(orders)).round(2) + 0.01,
            "CustomerID": customers + 12346,
            "Country": "United Kingdom",
        }
    ).to_csv(path, index=False, date_format="%m/%d/%Y %H:%M")


# In place of the two programs: a line of arguments, each ended by a zero byte, as bash hands them over.
RECORDING = r"""set -eu
record() { printf '%s\0' "$@" >> typed; printf '\n\0' >> typed; }
experiments() { record experiments "$@"; }
mlflow() { record mlflow "$@"; }
"""


def typed(folder: Path) -> list[list[str]]:
    """Return the commands that the blocks give to `experiments`; write the files that they write to the folder."""
    subprocess.run(["bash", "-c", script(first=RECORDING)], cwd=folder, check=True)
    lines = [line.split("\0")[:-1] for line in (folder / "typed").read_text().split("\n\0")[:-1]]
    return [of_the_project(words) if words[0] == "mlflow" else words for words in lines]


def of_the_project(words: list[str]) -> list[str]:
    """Return the command that `mlflow run . -e tune -P n_trials=2` gives."""
    assert words[1:3] == ["run", "."]
    given = dict(parameter.split("=", 1) for flag, parameter in pairwise(words) if flag == "-P")
    entry_point = load_project(str(ROOT)).get_entry_point(words[words.index("-e") + 1])
    return shlex.split(entry_point.compute_command(given, None))


class ComposedError(Exception):
    """End of a command whose configuration is composed, in place of its work."""


def test_commands_compose_and_name_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_composition: None
) -> None:
    monkeypatch.chdir(tmp_path)
    configs: list[Config] = []
    check = compose.typed

    def stop(config: object) -> None:
        configs.append(check(config))
        raise ComposedError

    monkeypatch.setattr(compose, "typed", stop)
    commands = typed(tmp_path)
    write_online_retail(tmp_path / "online_retail.csv")  # which `init` looks at before it composes
    assert len(commands) > 20
    for words in commands:
        with pytest.raises(ComposedError):
            main.run(words[1:])
        config = configs.pop()
        variables = {"variables": None} if "variables" in config.task else {}  # wildcards need the data
        candidates = Session(dataclasses.replace(config, task={**config.task, **variables})).task.candidates()
        assert {config.model.name, *config.search.models} <= set(candidates), shlex.join(words)


def run_commands(pages: Sequence[Path], folder: Path, work: Path | None) -> str:
    """Run the commands of the pages one after the other in a folder with a shop's file; return what they print.

    They continue the work of another folder, where one is given.
    """
    if work is not None:
        copy_work(work, folder)
    shutil.copy(ROOT / "MLproject", folder)
    write_online_retail(folder / "online_retail.csv")
    with preloaded() as commands:
        known = environment(PATH=f"{commands}{os.pathsep}{BIN}{os.pathsep}{os.environ['PATH']}")
        done = subprocess.run(
            ["bash", "-c", script(pages)], cwd=folder, env=known, capture_output=True, text=True, timeout=1800
        )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


MAIN_JOB = Path(os.environ["MAIN_JOB"]) if "MAIN_JOB" in os.environ else None  # where `make run` left its work
# Without it, README's commands make what the guides continue.
one_process = [] if MAIN_JOB else [pytest.mark.xdist_group("readme")]


@pytest.fixture(scope="session")
def of_readme(made_once: Callable[[str, Callable[[Path], str]], tuple[Path, str]]) -> tuple[Path, str]:
    """A folder after the commands of README, and what they printed."""
    return made_once("readme", lambda folder: run_commands([README, *OF_README], folder, MAIN_JOB))


@pytest.fixture
def main_job(request: pytest.FixtureRequest) -> Path:
    return MAIN_JOB or request.getfixturevalue("of_readme")[0]


class TestCommands:
    """They continue what `make run` left, as README's reader does, where .ci/run names the folder."""

    pytestmark: ClassVar = [pytest.mark.slow, *one_process]

    def test_of_readme_and_of_guides_to_its_shop_work_in_their_order(self, of_readme: tuple[Path, str]) -> None:
        folder, printed = of_readme
        outputs = folder / "outputs"
        for path in (outputs / "features.parquet", outputs / SHOP / "customer_360.parquet", outputs / "autumn.csv"):
            assert path.stat().st_size > 10_000
        assert "my_shop/customer_360.parquet, by my_shop-clv version" in printed
        table = pd.read_parquet(outputs / SHOP / "customer_360.parquet")
        assert len(table) == 2469
        assert table[["clv", "segment", "p_alive"]].notna().all(axis=None)

        store = MlflowClient(f"sqlite:///{folder}/mlflow.db")
        first = store.get_model_version("complete_journey-clv", "1")
        sealed = store.get_run(first.run_id).data.metrics
        assert first.tags["gate"] == "promoted"
        assert sealed["sealed/gain_over_naive_last_91_days_rate"] >= 0.008
        assert sealed["sealed/gain_over_naive_last_91_days_rate_lower"] > 0

    def test_of_the_guide_to_recommendation_work_in_their_order(self, main_job: Path, tmp_path: Path) -> None:
        run_commands(RECOMMENDATION, tmp_path, main_job)
        table = pd.read_parquet(tmp_path / "outputs" / SHOP / "customer_360.parquet")
        assert len(table) == 2469

    def test_of_all_other_guides_work_in_their_order(self, main_job: Path, tmp_path: Path) -> None:
        printed = run_commands(OTHERS, tmp_path, main_job)
        assert "cdnow-clv version 1" in printed
        page = (tmp_path / "outputs" / "hypotheses.html").read_text()
        assert "the more an order is worth" in page
        assert "parameters" not in page  # of a hypothesis with a mistake

        store = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
        runs = store.search_runs([store.get_experiment_by_name("cdnow-clv").experiment_id])
        (study,) = [run for run in runs if run.data.tags.get("study") == "by_mlflow"]  # of the command `mlflow run`
        assert study.data.tags["mlflow_project_run"]
        assert study.info.status == "FINISHED"
        trials = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == study.info.run_id]
        assert sum(run.data.tags["kind"] == "trial" for run in trials) == 2


def test_servers_of_the_readme_are_those_that_are_tested() -> None:
    served = (ROOT / "tests" / "experiments" / "test_serving.py").read_text()
    assert all(any(line.startswith(server) for block in blocks() for line in block.splitlines()) for server in SERVERS)
    assert '"models", "serve"' in served
    assert '"ui"' in served


def links() -> list[tuple[Path, str]]:
    """Each link of a page to a file, without the part after #."""
    return [
        (page, link)
        for page in [*PAGES, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs" / "adr").glob("*.md"))]
        for link in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text())
    ]


@pytest.mark.parametrize(("page", "link"), links(), ids=lambda value: getattr(value, "name", value))
def test_links_lead_somewhere(page: Path, link: str) -> None:
    assert (page.parent / link).exists()


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 200
