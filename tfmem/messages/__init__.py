"""What the person at the terminal is told: errors, progress, tables."""
