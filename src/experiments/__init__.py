"""Numbers about customers in, tuned, validated, gated and registered models out."""
