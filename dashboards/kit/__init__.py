"""What the pages share: the only reads, the only colours, the words and the state in the address."""
