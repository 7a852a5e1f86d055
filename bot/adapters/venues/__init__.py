"""Venues: where orders go and where the account lives."""
