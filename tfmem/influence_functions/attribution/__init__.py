"""Which words or patches the memorization of an example rests on."""
