"""Purchasing behaviour of tiers in a window: products, times and coupons."""
