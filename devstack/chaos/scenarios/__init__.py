"""The scenarios, a file for each kind of disturbance; those of custody are beside them."""
