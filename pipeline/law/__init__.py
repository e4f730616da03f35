"""What the drafts about vCons demand of use, signatures and erasure, and the proof of it."""
