"""Beam pipelines from prediction records to estimates and pairs.

This room imports no TensorFlow.
"""
