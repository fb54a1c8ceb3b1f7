"""Descriptions of customers: tiers, stages, hypotheses, personas. Nothing here becomes a champion."""
