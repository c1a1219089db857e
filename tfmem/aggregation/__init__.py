"""Beam pipelines from prediction records to estimates and pairs. Nothing here imports TensorFlow."""
