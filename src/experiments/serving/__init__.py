"""One customer in full, from the rows that a request brings."""
