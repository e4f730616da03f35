"""Telephone numbers in E.164, by the name of vcon-server's plugins."""

SHORTEST = 10
"""Characters from which on a text is taken as a whole number; shorter ones are extensions."""
REGION = "US"
"""The country of numbers without a country code."""


def get_e164_number(phone_number: str | None) -> str:
    """The number in E.164; "" for none, and the text itself if it is no number."""
    import phonenumbers  # noqa: PLC0415 -- its metadata takes 45 ms to load

    if not phone_number or len(phone_number) < SHORTEST:
        return phone_number or ""
    try:
        parsed = phonenumbers.parse(phone_number, REGION)
    except phonenumbers.NumberParseException:
        return phone_number
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
