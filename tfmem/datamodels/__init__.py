"""Outputs of models as linear functions of their subsets, and scores of how well these predict.

This room imports no TensorFlow and no Beam, and does not know which method made an attribution.
"""
