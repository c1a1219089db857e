"""What experts would write without tfmem, and tfmem beside it."""
