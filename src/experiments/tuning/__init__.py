"""Search space in, finished study out. The only room that imports Optuna."""
