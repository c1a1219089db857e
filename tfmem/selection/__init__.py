"""Which pairs matter: candidates found in counts, and the choice among all of them.

This room imports no TensorFlow and no Beam.
"""
