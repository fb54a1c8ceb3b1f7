"""Progress: a line for each tenth in a log file, and that of another process by the one that reads its lines."""

from __future__ import annotations

import logging
from io import StringIO

import pytest

from features.progress import Progress, Relay, about, hand_on, labelled


def worked(every: float = 0.0) -> None:
    with Progress("study", 20, "trials", every=every) as progress:
        for done in range(1, 21):
            progress.to(done, f"best 0.{done:02}")


def test_progress_that_is_handed_on_gives_the_lines_that_it_would_have_given(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "features.progress")
    worked()
    own = caplog.messages[:]
    caplog.clear()
    pipe = StringIO()
    hand_on(pipe)
    try:
        worked()
    finally:
        hand_on(None)
    assert not caplog.messages  # the other process shows it
    with Relay() as relay:
        assert all(relay.show(line) for line in pipe.getvalue().splitlines(keepends=True))
        assert not relay.show("best of 20 trials: trial 3, blend")
    assert caplog.messages == own
    assert own[0] == "study: 2 of 20 trials, best 0.02"
    assert len(own) == 10


def test_work_that_is_short_as_a_rule_gives_no_line_unless_it_takes_long(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "features.progress")
    worked(every=3600.0)
    assert not caplog.messages


def test_lines_of_one_of_several_tasks_begin_with_its_name() -> None:
    with about("clv"):
        assert labelled("30 of 30 trials") == "clv | 30 of 30 trials"
    assert labelled("done") == "done"
