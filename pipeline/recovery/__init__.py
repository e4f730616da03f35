"""Redis made like Postgres after it has lost data; see `watch.py`."""
