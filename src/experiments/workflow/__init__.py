"""The library: functions that take a session and plain arguments, and know nothing of Hydra."""
