"""On the PYTHONPATH of a process that is to think that it runs on a machine of its own: see tests/fleet.py."""

import os
import socket

socket.gethostname = lambda: os.environ["MACHINE"]
