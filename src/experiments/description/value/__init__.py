"""Value tiers by spend alone."""
