"""What every export reader shares: the file, its values, its clock, its money rows and its arithmetic."""
