"""Tables in, numbers about customers out. Knows nothing of experiments, MLflow, Optuna or Hydra."""
