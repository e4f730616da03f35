"""The two kinds of connections, HTTP of callers and WebSockets of consumers, and their bytes."""
