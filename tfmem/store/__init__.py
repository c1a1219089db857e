"""How everything lies on disk or in a bucket.

This room does not know who wrote something, or why; it imports no TensorFlow and no Beam.

Files and folders:
  `files`: files that appear under their names only when they are complete.
  `folders`, `buckets`: a folder that programs share, on this machine or in a bucket.
  `owners`, `claims`: which program owns a file, and which program works on which part of a run.
  `listing`: how to detect that files have changed.
  `outputs`: outputs of a step, which are all replaced in one moment.
  `artifacts`: kinds of outputs, and their places in the folder of a run.

Sets of files, which are published as a whole or not at all:
  `manifests`: what the manifest of a set says.
  `publishing`: makes the files of a set valid.
  `sets`: reads files as they were published.
  `writing`: writes files on this machine and publishes them.

Formats, which are read without trusting the contents:
  `records`: TFRecord files of `tf.train.Example`.
  `tables`: many records of the same features, encoded and decoded at once.
  `npz`, `json_files`, `spreadsheets`: arrays, JSON objects, tables as CSV.
  `unpacking`: how much a compressed file may unpack to.
  `bits`, `confidence`, `scores`: booleans as bits, confidence in 16 bits, scores in 32.

What a run leaves:
  `predictions`, `shards`: a record for each trial, and the files of these records.
  `labels`, `groups`: labels of the data, and groups of training examples.
  `journal`: the table of trials, which says how each trial went.
  `checkpoints`: the state of models in the middle of their training.
  `results`, `pairs`: estimates read back, and pairs with their statistics.
  `validity`: which values estimates can have.
"""
