"""Tools for development: embedded servers, a development Plugboard, page generators."""
