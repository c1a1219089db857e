"""Ratios against what one would use instead, each measured in one run; see `make benchmark`."""
