"""Exact counts over trials, and the estimates made from them. Numpy and numba only."""
