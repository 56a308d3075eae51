"""What the paper says, what its numbers allow, and what our runs make of it."""
