"""Beam pipelines from prediction records to estimates and pairs, without TensorFlow."""
