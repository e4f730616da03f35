"""Fault-injection tests: no vCon may be lost when servers and services are killed under load.

`python -m devstack.chaos` runs the long form of every scenario; the tests run the short form.
"""
