"""What tiers did in a window: what they bought, when, and with which coupons."""
