"""Proof that no vCon is lost: real servers and services, killed and stopped under load.

`python -m devstack.chaos` runs every scenario for long; the tests run each of them for short.
"""
