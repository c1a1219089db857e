"""How everything lies on disk or in a bucket; nothing here imports TensorFlow."""
