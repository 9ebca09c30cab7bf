"""Access tokens and download links: what each opens, and for how long."""

import time
from typing import Any
from uuid import uuid4

import jwt
import pytest

from functions.model.errors import Unauthorized
from functions.model.tokens import ACCESS, ISSUER, LINK, Links, Tokens

KEY, OTHER_KEY = "k" * 32, "o" * 32
ADA, FID = uuid4(), uuid4()
tokens, links = Tokens(KEY, 60), Links(KEY, 60)


def forged(key: str | None = KEY, algorithm: str = "HS256", **changes: Any) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": ACCESS, "sub": str(ADA), "iat": now, "exp": now + 86400, "username": "ada"}
    return jwt.encode(
        {name: value for name, value in (claims | changes).items() if value is not None}, key, algorithm=algorithm
    )


def test_a_token_tells_who_asks_and_for_how_long() -> None:
    before = int(time.time())
    claims = tokens.read(tokens.issue(ADA, "ada"))
    assert (claims.user, claims.username) == (ADA, "ada")
    assert before + 60 <= claims.expires_at <= time.time() + 60


def test_a_token_of_ours_is_what_the_forger_below_makes() -> None:
    """So each forgery is refused for what was changed in it, and for nothing else."""
    assert tokens.read(forged()).user == ADA


FORGERIES = {
    "another key": forged(OTHER_KEY),
    "no signature": forged(None, "none"),
    "another algorithm": forged("k" * 64, "HS512"),
    "another audience": forged(aud=LINK),
    "another issuer": forged(iss="somebody"),
    "issued in the future": forged(iat=int(time.time()) + 3600),
    "a user that is no id": forged(sub="ada"),
    **{f"no {claim}": forged(**{claim: None}) for claim in ("iss", "aud", "sub", "iat", "exp", "username")},
    "two thirds of one": forged().rpartition(".")[0],
    "no token at all": "ä.ö.ü",
    "nothing": "",
}


@pytest.mark.parametrize("token", FORGERIES.values(), ids=FORGERIES)
def test_a_token_that_is_not_ours_is_refused(token: str) -> None:
    """The message does not say what was wrong with it."""
    with pytest.raises(Unauthorized, match="not one of ours"):
        tokens.read(token)


def test_an_expired_token_is_told_from_a_forged_one() -> None:
    """Its owner only needs to log in again."""
    with pytest.raises(Unauthorized, match="expired"):
        tokens.read(forged(exp=int(time.time()) - 1))


def test_a_link_opens_its_file() -> None:
    links.check(links.sign(FID), FID)


def test_a_link_opens_no_other_file() -> None:
    """Whoever holds a link can change the `fid` in its address."""
    with pytest.raises(Unauthorized, match="another file"):
        links.check(links.sign(FID), uuid4())


def test_a_link_expires() -> None:
    """Emails are kept for years."""
    with pytest.raises(Unauthorized, match="expired"):
        links.check(Links(KEY, -1).sign(FID), FID)


def test_a_link_is_no_token_and_a_token_is_no_link() -> None:
    """Even where one key signs both, their audiences differ."""
    with pytest.raises(Unauthorized):
        tokens.read(links.sign(ADA))
    with pytest.raises(Unauthorized):
        links.check(tokens.issue(FID, "ada"), FID)
