"""The signature of a body: HMAC-SHA-256 over the bytes as received, in GitHub's form."""

import hashlib
import hmac

import pytest

from core.errors import ForbiddenError
from pipeline.ingest.partner import verify_signature

PUBLISHED = [
    # GitHub's documentation, "Validating webhook deliveries"
    (
        "It's a Secret to Everybody",
        b"Hello, World!",
        "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    ),
    # RFC 4231, test cases 2 and 1
    (
        "Jefe",
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    (
        "\x0b" * 20,
        b"Hi There",
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
    ),
]


@pytest.mark.parametrize(("secret", "body", "digest"), PUBLISHED)
def test_published_vectors(secret: str, body: bytes, digest: str) -> None:
    """Hex in either case; of another body or secret it is wrong."""
    verify_signature(secret, f"sha256={digest}", body)
    verify_signature(secret, f"sha256={digest.upper()}", body)
    for other in ((secret, body + b" "), (secret + "x", body), (secret, b"")):
        with pytest.raises(ForbiddenError, match="does not match the body"):
            verify_signature(other[0], f"sha256={digest}", other[1])


DIGEST = PUBLISHED[0][2]


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (None, "required"),
        ("", "must be sha256="),
        (DIGEST, "must be sha256="),
        ("sha1=" + DIGEST[:40], "must be sha256="),
        ("sha512=" + DIGEST * 2, "must be sha256="),
        ("md5=" + DIGEST[:32], "must be sha256="),
        ("sha256=", "must be sha256="),
        ("sha256=" + DIGEST[:-1], "must be sha256="),
        ("sha256=" + DIGEST + "00", "must be sha256="),
        ("sha256= " + DIGEST, "must be sha256="),
        (f"sha256={DIGEST}\n", "must be sha256="),
        (f"sha256={DIGEST},sha256={DIGEST}", "must be sha256="),
        ("sha256=" + "é" * 64, "must be sha256="),
        ("sha256=" + "\u0661" * 64, "must be sha256="),
        ("sha256=" + "0" * 64, "does not match"),
    ],
)
def test_other_forms_are_refused(header: str | None, text: str) -> None:
    """Other algorithms, other lengths, several, none."""
    secret, body, _ = PUBLISHED[0]
    with pytest.raises(ForbiddenError, match=f"X-Hub-Signature-256 {text}") as refused:
        verify_signature(secret, header, body)
    assert secret not in str(refused.value)


@pytest.mark.parametrize("secret", ["schlüssel", "\U0001f511" * 20, "\ud800"])
def test_a_secret_is_utf_8(secret: str) -> None:
    """Whatever text it is."""
    key = secret.encode("utf-8", "surrogatepass")
    digest = hmac.new(key, b"{}", hashlib.sha256).hexdigest()
    verify_signature(secret, f"sha256={digest}", b"{}")
