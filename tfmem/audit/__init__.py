"""What the owner of a data set should look at: labels, near duplicates, examples to keep."""
