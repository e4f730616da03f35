"""Takes too few arguments."""


def run(vcon_uuid):
    return vcon_uuid
