"""Exact counts over trials, and the estimates and errors made from them.

This room imports numpy and numba only: no TensorFlow, no Beam.
"""
