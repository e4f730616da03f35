"""`check --vcon-server`: what will differ for an installation of vcon-server that moves here.

The decisions (`variables`, `plugins`, `config_file`, `api`, `redis_findings`) are functions over
values; `checklist` and `redis_facts` read files, the environment, Redis and Postgres, and change
none of them.
"""
