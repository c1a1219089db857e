"""Which examples each trial sees: drawn, by group, or given.

This room knows no models and imports no TensorFlow.
"""
