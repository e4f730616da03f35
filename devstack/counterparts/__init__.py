"""Programs that tests exchange data with, and that cannot be in the environment of the tests."""
