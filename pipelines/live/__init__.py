"""The live service: accepts events, keeps them, judges the accounts that they touch, and acts on the verdicts."""
