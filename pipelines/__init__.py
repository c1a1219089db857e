"""Which components run, in what order, on which runner; and the command line on top of them."""
