"""A campaign of generated inputs: each has a referee's value, or must be refused in a sentence."""
