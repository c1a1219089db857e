"""Attributes the memorization of an example to its words or patches."""
