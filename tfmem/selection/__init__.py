"""Which pairs matter: candidates found in counts, and the choice among all of them."""
