"""How everything lies on disk or in a bucket.

This room does not know who wrote something, or why; it imports no TensorFlow and no Beam.

Files and folders:
  `files`: files that appear under their names when they are complete.
  `folders`, `buckets`: a folder that programs share, on this machine or in a bucket.
  `owners`, `claims`: which program something belongs to, and which is at work on what.
  `listing`: what tells whether files have changed.
  `outputs`: outputs of a step, all replaced in one moment.
  `artifacts`: kinds of outputs, and their places in the folder of a run.

Sets of files, which are there as a whole or not at all:
  `manifests`: what the manifest of a set says.
  `publishing`: makes the files of a set valid.
  `sets`: reads files as they were published.
  `writing`: writes files on this machine and publishes them.

Formats, read without trusting what is there:
  `records`: TFRecord files of `tf.train.Example`.
  `tables`: many records of the same features at once.
  `npz`, `json_files`, `spreadsheets`: arrays, JSON objects, tables as CSV.
  `unpacking`: how much a compressed file may unpack to.
  `bits`, `confidence`, `scores`: booleans as bits, confidence in 16 bits, scores in 32.

What a run leaves:
  `predictions`, `shards`: a record a trial, and the files of these records.
  `labels`, `groups`: labels of the data, and groups of training examples.
  `journal`: how each trial went.
  `checkpoints`: the state of models in the middle of their training.
  `results`, `pairs`: estimates read back, and pairs with their statistics.
  `validity`: which values estimates can have.
"""
