"""Tiers of customers by a weighted score; the weights are learnt at one cutoff and tested at a later one."""
