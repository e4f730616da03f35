"""What became of every vCon: evidence, verdict and report, and the builds that check them."""
