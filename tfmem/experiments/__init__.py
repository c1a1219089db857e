"""What the estimates show: each experiment compares runs, or trains what it compares."""
