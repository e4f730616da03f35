"""Whether a vCon has a lawful basis for a purpose: a decision without I/O."""
