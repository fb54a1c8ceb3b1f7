"""`python -m experiments` is the command `experiments`."""

from experiments.commands.main import main

main()
