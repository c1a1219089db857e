"""Which examples each trial sees: drawn, by group, or given."""
