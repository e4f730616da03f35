"""A simulated Patchcord: discrete events, without clocks, servers or threads."""
