"""One configuration with every link and storage of vcon-server, run twice against stand-ins."""
