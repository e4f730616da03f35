"""What the egress lists of a chain get at the end of a run."""
