"""What a feed's rows must be: how values are read, the suite of each dataset, and who judges rows by it."""
