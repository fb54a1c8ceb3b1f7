"""Changes: what differs from the last report."""
