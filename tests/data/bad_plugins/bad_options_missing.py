"""Finds out that an option is missing with the first vCon."""


def run(vcon_uuid, link_name, opts):
    return vcon_uuid if opts["needed"] else None
