"""What is written by the law: amended versions, signatures, encryption, signed statements."""
