"""A link with what vcon-server's after-link hook looks at."""

AUDIT_META = {"third_party_service": "acme", "data_type": "transcript"}
default_options = {"fail": False}


def run(vcon_uuid, link_name, opts=default_options):
    if opts["fail"]:
        raise ValueError("acme is away")
    return vcon_uuid
