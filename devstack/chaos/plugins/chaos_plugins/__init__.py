"""Links and storages that write down what happens to them. The service imports them, as plugins.

What a vCon shall go through stands in its `subject`.
"""
