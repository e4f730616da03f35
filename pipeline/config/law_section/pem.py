r"""Certificates and keys in the configuration: PEM texts that are parsed when the file is read.

A text that comes from an environment variable may have `\n` in the place of its line breaks.
`cryptography` is imported at the first use: a configuration without `law` does not need it.
"""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
    from cryptography.x509 import Certificate

SMALLEST_RSA = 2048
"""Bits."""
LARGEST_PEM = 100_000
"""Characters of one text."""
_MOST_SHOWN = 200
"""Characters of a subject."""
_PUBLIC = "-----BEGIN PUBLIC KEY-----"
_ESCAPED = re.compile(r"(?:\\r)?\\n")


def certificates(text: str) -> "list[Certificate]":
    """The certificates of a PEM text, in its order.

    Raises:
        ValueError: with what is wrong with it.
    """
    from cryptography import x509  # noqa: PLC0415 -- only configurations with `law` need it

    lines = _lines(text)
    try:
        return x509.load_pem_x509_certificates(lines)
    except ValueError:
        msg = "must be one or more certificates in PEM (-----BEGIN CERTIFICATE-----)"
        raise ValueError(msg) from None


def certificate_texts(text: str) -> list[str]:
    """Each certificate of a PEM text as a PEM text of its own.

    Raises:
        ValueError: with what is wrong with it.
    """
    return [as_text(each) for each in certificates(text)]


def as_text(certificate: "Certificate") -> str:
    """A certificate as PEM."""
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    return certificate.public_bytes(Encoding.PEM).decode()


def recipient(text: str) -> str:
    """The PEM text of a recipient: one certificate, or a public key.

    Raises:
        ValueError: it is neither, or a key for which nothing can be encrypted.
    """
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        load_pem_public_key,
    )

    if _PUBLIC in text:
        lines = _lines(text)
        try:
            key = load_pem_public_key(lines)
        except ValueError:
            raise ValueError("must be a public key in PEM") from None
        check_public(key, encrypts=True)
        return lines.decode()
    found = certificates(text)
    if len(found) != 1:
        raise ValueError("must be the one certificate of the recipient, without its chain")
    check_public(found[0].public_key(), encrypts=True)
    return as_text(found[0])


def private_key(text: str) -> "tuple[PrivateKeyTypes, str]":
    """A private key, and its PEM text (PKCS #8).

    Raises:
        ValueError: with what is wrong with it; the text does not show the key.
    """
    from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415

    lines = _lines(text)
    try:
        key = form.load_pem_private_key(lines, password=None)
    except TypeError:
        raise ValueError("must be a private key without a passphrase") from None
    except ValueError:
        raise ValueError("must be a private key in PEM (-----BEGIN PRIVATE KEY-----)") from None
    check_public(key.public_key())
    written = key.private_bytes(
        form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()
    ).decode()
    return key, written


def check_public(key: "PublicKeyTypes", *, encrypts: bool = False) -> None:
    """Check the kind and the size of a key.

    Raises:
        ValueError: it is too small, of another kind, or cannot encrypt although that is wanted.
    """
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415

    problem = None
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < SMALLEST_RSA:
            problem = f"has {key.key_size} bits, and RSA needs at least {SMALLEST_RSA}"
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1):
            problem = f"is on the curve {key.curve.name}; known: P-256, P-384, P-521"
    elif not isinstance(key, ed25519.Ed25519PublicKey):
        problem = "must be a key of RSA, of EC (P-256, P-384, P-521) or of Ed25519"
    elif encrypts:
        problem = "is an Ed25519 key, which signs only; encryption needs RSA or EC"
    if problem is not None:
        raise ValueError(problem)


def can_decrypt(private: str) -> bool:
    """Whether the private key of a checked PEM text decrypts: all do but Ed25519."""
    key, _ = private_key(private)
    try:
        check_public(key.public_key(), encrypts=True)
    except ValueError:
        return False
    return True


def subject_of(certificate: "Certificate") -> str:
    """Its name in messages."""
    try:
        return certificate.subject.rfc4514_string()[:_MOST_SHOWN] or "(no subject)"
    except ValueError:
        return "(unreadable subject)"


def fault(certificate: "Certificate") -> str | None:
    """Why no chain of version 3 ends at it or goes through it; None if it is an authority.

    Key usage is demanded as of web servers; `openssl req -x509` alone writes none.
    """
    from cryptography import x509  # noqa: PLC0415 -- only configurations with `law` need it

    if certificate.version is x509.Version.v1:
        return "is of X.509 version 1, which needs law.trust.legacy_chains"
    try:
        rules = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        if not rules.ca:
            return "is that of a signer (CA:FALSE), which belongs into law.trust.pinned"
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound as missing:
        needed = {x509.BasicConstraints.oid: "basicConstraints; an authority needs CA:TRUE"}
        default = "keyUsage; an authority needs one with keyCertSign"
        return f"has no {needed.get(missing.oid, default)}"
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return "has extensions that cannot be read"
    without = "has a keyUsage without keyCertSign, which an authority needs"
    return None if usage.key_cert_sign else without


def _lines(text: str) -> bytes:
    if len(text) > LARGEST_PEM:
        raise ValueError(f"has more than {LARGEST_PEM} characters")
    return _ESCAPED.sub("\n", text).strip().encode() + b"\n"
