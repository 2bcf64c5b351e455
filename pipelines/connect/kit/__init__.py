"""What connectors share: the interface, settings with secrets, pace, retries, and deals from platform records."""
