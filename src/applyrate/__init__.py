"""Which resources an AI support agent really uses."""
