"""What the person at the terminal is told: errors, warnings, progress, tables."""
