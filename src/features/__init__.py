"""Features: tables in, numbers about customers out. This room does not know experiments, MLflow, Optuna or Hydra."""
