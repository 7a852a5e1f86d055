"""Keel: one asyncio process that scans, decides, trades, protects and shows its work."""
