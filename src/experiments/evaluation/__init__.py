"""How good a model is, and how sure of it one can be."""
