"""`experiments` in place of its console script: a process that has its imports already, forked for each command.

Half of the time of a short command goes to imports, and some of the rest to what is the same in all of them: what the
configured features mean, and which libraries a model needs. A command that runs here has a process of its own all the
same, with its own arguments, folder, environment and standard streams; it is killed and interrupted as any other. What
the console script itself does is left to `make run` and to tests/test_wheel.py.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from mlflow.utils import requirements_utils

import experiments
import features
import kills
from experiments.commands import main
from experiments.commands.compose import open_session
from experiments.tracking.packaging import PREDICTING
from experiments.tracking.requirements import requirements_of
from features.definitions import feature_hashes
from features.snapshot import definition_hash

CLIENT = """#!{python} -IS
import json, os, signal, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    asked = json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(asked).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(asked)
    answers = server.makefile()
    pid = int(answers.readline())
    for name in ("SIGINT", "SIGTERM"):
        signal.signal(getattr(signal, name), lambda number, frame: os.kill(pid, number))
    code = int(answers.readline() or -9)
sys.exit(code) if code >= 0 else os.kill(os.getpid(), -code)
"""


@contextmanager
def preloaded() -> Iterator[Path]:
    """Start the process; give a folder with an `experiments` that asks it, for the first place in PATH."""
    with tempfile.TemporaryDirectory() as name:
        folder, address = Path(name), f"{name}/commands"
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(address)
            listening.listen()
            listening.set_inheritable(True)
            asked = listening.fileno()
            process = subprocess.Popen([sys.executable, __file__, str(asked)], pass_fds=[asked])
        (folder / "experiments").write_text(CLIENT.format(python=sys.executable, address=address))
        (folder / "experiments").chmod(0o755)
        try:
            yield folder
        finally:
            process.kill()
            process.wait()


def serve(listening: socket.socket) -> NoReturn:
    """Fork for each connection, and run its command there."""
    for package in (experiments, features):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    requirements_of(*PREDICTING)
    requirements_utils._init_modules_to_packages_map()  # with which MLflow checks each model that it loads
    for task in ("clv", "repurchase", "next_purchase"):
        names = open_session(data="complete_journey", task=task).config.features.names
        definition_hash(names)
        feature_hashes(names)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # what ended is not waited for
    while True:
        connection, _ = listening.accept()
        if os.fork():
            connection.close()
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        size, streams, _, _ = socket.recv_fds(connection, 8, 3)
        asked = connection.makefile("rb").read(int.from_bytes(size, "big"))
        command = os.fork()
        if command:
            connection.sendall(f"{command}\n".encode())
            code = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
            connection.sendall(f"{code}\n".encode())
            os._exit(0)
        connection.close()
        listening.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        sys.argv, folder, environment = json.loads(asked)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        if kills.KILL_AT in environment:
            kills.arm()
        code = main.run(sys.argv[1:])
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # what the first process made is not taken down here: its threads are not in this one


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
