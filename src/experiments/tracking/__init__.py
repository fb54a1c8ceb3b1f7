"""Runs, packaged models, the registry and its gate. The only room that imports MLflow."""
