"""Measures tfmem against what one would use without it; `make benchmark` runs all modules."""
