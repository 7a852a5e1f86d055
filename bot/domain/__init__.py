"""Pure domain: values and rules. No await, clock, I/O, logging or randomness in here."""
