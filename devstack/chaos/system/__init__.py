"""The services and servers that scenarios disturb: their processes, chain, ledger and log."""
