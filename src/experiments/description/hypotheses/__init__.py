"""Hypotheses about tiers: declared in files, tested on what happened after the tiers were known."""
