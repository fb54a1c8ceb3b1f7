"""Stages of a customer's life, how customers move between them, and a forecast of the next period."""
