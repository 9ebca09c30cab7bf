"""Access tokens and download links: JWTs of one fixed algorithm (RFC 7519).

Each kind has a key and an audience of its own, so that one never passes for the other (RFC 8725, 3.9 and 3.12).
"""

import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import jwt

from functions.model.errors import Unauthorized

ALGORITHM = "HS256"
ISSUER = "video-to-mp3"
ACCESS, LINK = "video-to-mp3/api", "video-to-mp3/download"


@dataclass(frozen=True)
class Claims:
    """What an access token says about the user who sends it."""

    user: UUID
    username: str
    expires_at: int  # Unix seconds


class Tokens:
    """Issues and reads access tokens, which are valid for `seconds`."""

    def __init__(self, key: str, seconds: int) -> None:
        self._key = key
        self.seconds = seconds

    def issue(self, user: UUID, username: str) -> str:
        return _sign(self._key, ACCESS, str(user), self.seconds, username=username)

    def read(self, token: str) -> Claims:
        """What the token says. Raises Unauthorized, whose message says whether the token has merely expired."""
        claims = _verify(self._key, ACCESS, token)
        try:
            return Claims(UUID(claims["sub"]), str(claims["username"]), claims["exp"])
        except (KeyError, ValueError) as error:
            raise Unauthorized("the token is not one of ours; log in again") from error


class Links:
    """Signs and checks the links in emails: whoever holds one may download that audio for `seconds`."""

    def __init__(self, key: str, seconds: int) -> None:
        self._key = key
        self.seconds = seconds

    def sign(self, fid: UUID) -> str:
        return _sign(self._key, LINK, str(fid), self.seconds)

    def check(self, token: str, fid: UUID) -> None:
        """Raises Unauthorized where the link is for another file, has expired, or is not one of ours."""
        if _verify(self._key, LINK, token)["sub"] != str(fid):
            raise Unauthorized("this link is for another file; log in to download it")


def _sign(key: str, audience: str, subject: str, seconds: int, **more: Any) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": audience, "sub": subject, "iat": now, "exp": now + seconds, **more}
    return jwt.encode(claims, key, algorithm=ALGORITHM)


def _verify(key: str, audience: str, token: str) -> dict[str, Any]:
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=audience,
            issuer=ISSUER,
            options={"require": ["exp", "iat", "sub", "iss", "aud"]},
        )
    except jwt.ExpiredSignatureError as error:
        raise Unauthorized("the token has expired; log in again") from error
    except jwt.InvalidTokenError as error:
        raise Unauthorized("the token is not one of ours; log in again") from error
    return claims
