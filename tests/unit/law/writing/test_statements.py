"""Signed statements: what a reader may rely on, and what is refused."""

import json
import warnings
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta

import pytest
from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey

from core.errors import InvalidError, TooLargeError
from pipeline.config.law import LawKey
from pipeline.law.writing import statements
from pipeline.law.writing.statements import ERASURE_REQUEST, ERASURE_STATEMENT
from tests import law_keys, signed_vcons

NOW = datetime.now(UTC)
CONTENT = {"erasure": "e-1", "vcons": ["0198f0a1-0000-8000-8000-000000000001"], "state": "complete"}
KEYS = {
    "ES256": (law_keys.ec_key(), ECKey),
    "EdDSA": (law_keys.ed25519_key(), OKPKey),
    "RS256": (law_keys.rsa_key(), RSAKey),
}


def law_key(algorithm: str = "ES256", *, chain: bool = True) -> LawKey:
    """One of the keys as the configuration has it, with or without its certificate."""
    key, _ = KEYS[algorithm]
    return LawKey("k", law_keys.private_pem(key), law_keys.certificate_pem(key) if chain else "")


def public(algorithm: str = "ES256") -> str:
    """Its public key as PEM."""
    return law_keys.public_pem(KEYS[algorithm][0])


def statement(**changes: object) -> str:
    """A statement by the key on P-256."""
    return statements.signed({**CONTENT, **changes}, ERASURE_STATEMENT, law_key())


@pytest.mark.parametrize("algorithm", KEYS)
@pytest.mark.parametrize("chain", [True, False])
def test_is_verified_with_the_public_key_here_and_by_another_library(algorithm, chain):
    """Each kind of key, with a certificate and without."""
    text = statements.signed(CONTENT, ERASURE_STATEMENT, law_key(algorithm, chain=chain))
    found = statements.verified(text, ERASURE_STATEMENT, [public(algorithm)], NOW)
    assert (found.content, found.algorithm) == (CONTENT, algorithm)
    key = KEYS[algorithm][1].import_key(public(algorithm))
    registry = jws.JWSRegistry(algorithms=[algorithm])
    registry.max_header_length = 10_000
    with warnings.catch_warnings(action="ignore", category=SecurityWarning):  # of the name EdDSA
        theirs = jws.deserialize_compact(text, key, registry=registry)
    assert json.loads(theirs.payload) == CONTENT
    assert found.key == key.thumbprint()


def test_certificate_of_the_signer_is_an_anchor_while_it_is_valid():
    """Its dates count, and its subject is told."""
    key = law_key()
    text = statements.signed(CONTENT, ERASURE_STATEMENT, key)
    assert statements.verified(text, ERASURE_STATEMENT, [key.chain], NOW).subject == "CN=test"
    with pytest.raises(InvalidError, match="valid from"):
        statements.verified(text, ERASURE_STATEMENT, [key.chain], NOW + timedelta(days=2))


def test_an_authority_above_the_signer_is_an_anchor():
    """By a valid path; another authority, or a time after its end, is none."""
    key, now = signed_vcons.signer("ES256").as_law_key(), signed_vcons.NOW
    text = statements.signed(CONTENT, ERASURE_STATEMENT, key)
    root = signed_vcons.root().pem
    found = statements.verified(text, ERASURE_STATEMENT, [public(), root], now)
    assert (found.content, found.subject) == (CONTENT, "CN=signer ES256")
    with pytest.raises(InvalidError, match="not trusted: "):
        statements.verified(text, ERASURE_STATEMENT, [root], now + timedelta(days=31 * 365))
    other = law_keys.certificate_pem(law_keys.ec_key("other"))
    with pytest.raises(InvalidError, match="not trusted: no valid path to an anchor: "):
        statements.verified(text, ERASURE_STATEMENT, [other], now)


def test_another_key_or_certificate_is_not_trusted():
    """No anchors, those of another key, and what is no anchor."""
    other = law_keys.ec_key("other")
    for anchors in ([], [law_keys.public_pem(other)], [law_keys.certificate_pem(other)]):
        with pytest.raises(InvalidError, match="trusted"):
            statements.verified(statement(), ERASURE_STATEMENT, anchors, NOW)
    with pytest.raises(InvalidError, match="anchors: expected"):
        statements.verified(statement(), ERASURE_STATEMENT, ["nothing"], NOW)


def test_a_statement_of_another_kind_is_refused():
    """A request to erase is no proof that it was done."""
    request = statements.signed(CONTENT, ERASURE_REQUEST, law_key())
    with pytest.raises(InvalidError, match="typ"):
        statements.verified(request, ERASURE_STATEMENT, [public()], NOW)


def test_every_changed_character_is_refused():
    """Those of header, payload and signature, each last one too."""
    text = statement()
    for at, character in enumerate(text):
        changed = text[:at] + ("B" if character != "B" else "C") + text[at + 1 :]
        with pytest.raises(InvalidError):
            statements.verified(changed, ERASURE_STATEMENT, [public()], NOW)


def forged(header: dict[str, object], payload: bytes = b'{"a":1}') -> str:
    """A statement by the trusted key, with a header of the caller's choice."""
    key = ECKey.import_key(law_keys.private_pem(law_keys.ec_key()))
    told = {"alg": "ES256", "kid": key.thumbprint(), "typ": ERASURE_STATEMENT, **header}
    text = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
    parts = [urlsafe_b64encode(each).rstrip(b"=").decode() for each in (text, payload)]
    content = ".".join(parts)
    signature = jws.JWSRegistry.algorithms["ES256"].sign(content.encode(), key)
    return f"{content}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ({"crit": ["exp"]}, "crit"),
        ({"b64": False}, "b64"),
        ({"jwk": {}}, "jwk"),
        ({"alg": "none"}, "alg"),
        ({"alg": "HS256"}, "alg"),
        ({"alg": None}, "alg"),
        ({"kid": 1}, "kid"),
        ({"x5c": "text"}, "x5c"),
        ({"x5c": ["bm90aGluZw=="]}, "x5c"),
    ],
)
def test_header_that_is_not_known_is_refused(header, problem):
    """Although the trusted key signed it."""
    assert statements.verified(forged({}), ERASURE_STATEMENT, [public()], NOW).content == {"a": 1}
    with pytest.raises(InvalidError, match=problem):
        statements.verified(forged(header), ERASURE_STATEMENT, [public()], NOW)


def test_certificate_of_another_key_gives_no_name():
    """The signer cannot call itself what another's certificate says."""
    other = law_keys.certificate_pem(law_keys.ec_key("other"), "a bank")
    der = "".join(other.strip().splitlines()[1:-1])
    with pytest.raises(InvalidError, match="kid"):
        statements.verified(forged({"x5c": [der]}), ERASURE_STATEMENT, [public()], NOW)


@pytest.mark.parametrize("payload", [b'{"a":1,"a":2}', b'{ "a":1}', b"[]", b"\xff", b"[" * 9999])
def test_payload_has_one_spelling(payload: bytes):
    """A payload that two readers may read differently is refused."""
    with pytest.raises(InvalidError, match="payload"):
        statements.verified(forged({}, payload), ERASURE_STATEMENT, [public()], NOW)


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c.d", "e30.e30.é", "e30=.e30.AA", "\ud800.a.b"])
def test_other_texts_are_no_statements(text: str):
    """Nothing else raised than the refusal."""
    with pytest.raises(InvalidError, match="expected a statement"):
        statements.verified(text, ERASURE_STATEMENT, [public()], NOW)


def test_too_large_ones_are_not_read():
    """Too many certificates, and a text over the limit."""
    der = "".join(law_key().chain.strip().splitlines()[1:-1])
    with pytest.raises(TooLargeError, match="9 certificates"):
        statements.verified(forged({"x5c": [der] * 9}), ERASURE_STATEMENT, [public()], NOW)
    text = "a" * (statements.MOST_CHARACTERS + 1)
    with pytest.raises(TooLargeError, match="characters"):
        statements.verified(text, ERASURE_STATEMENT, [public()], NOW)


def test_private_key_is_in_no_text():
    """The header has the public parts only."""
    key = law_key()
    text = statements.signed(CONTENT, ERASURE_STATEMENT, key)
    header = urlsafe_b64decode(text.partition(".")[0] + "==")
    assert b"PRIVATE" not in header
    assert '"d"' not in header.decode()
