"""Work that predictions are put to: lists of customers to contact."""
