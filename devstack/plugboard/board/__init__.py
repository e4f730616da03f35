"""The Plugboard's state and its rules for messages, without sockets and without a clock."""
