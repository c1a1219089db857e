"""How everything lies on disk or in a bucket.

This room does not know who wrote something, or why; it imports no TensorFlow and no Beam.
"""
