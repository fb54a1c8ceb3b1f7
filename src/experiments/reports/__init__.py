"""Figures and pages: they take frames and return figures."""
