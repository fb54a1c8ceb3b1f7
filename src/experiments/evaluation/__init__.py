"""Metrics of models, their confidence intervals, and the splits over time that they are measured on."""
