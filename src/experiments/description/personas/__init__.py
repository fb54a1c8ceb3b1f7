"""Personas: what the customers of a group do more than all customers do."""
