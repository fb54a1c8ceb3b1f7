"""On the PYTHONPATH of a process that is to think that it runs on a machine of its own: see tests/fleet.py."""

import os
import socket
import time

socket.gethostname = lambda: os.environ["MACHINE"]

if "HELD" in os.environ:
    from experiments.tuning.space import Space

    suggest = Space.suggest

    def suggest_and_wait(space, trial):
        """Hold each trial while a file is there, that none ends before a test has seen which machines take part."""
        drawn = suggest(space, trial)
        while os.path.exists(os.environ["HELD"]):
            time.sleep(0.05)
        return drawn

    Space.suggest = suggest_and_wait
