"""Influence functions and attribution of one trained model.

This room is given the model: it trains none, and knows no trials.

Records are read where there is no TensorFlow, so nothing is imported here.
"""
