"""Who sent a request: its bearer token is checked here or, where AUTH_SVC_ADDR is set, by the function validate."""

import json
from http import HTTPStatus
from typing import Protocol
from uuid import UUID

from functions.model.errors import Unauthorized, Unavailable
from functions.model.tokens import Claims, Tokens

TIMEOUT = 3.0  # seconds validate may take


class Bearer(Protocol):
    def claims(self, authorization: str | None) -> Claims:
        """The claims of the token in that Authorization header. Raises Unauthorized where there is no valid one."""


class LocalBearer:
    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def claims(self, authorization: str | None) -> Claims:
        return self._tokens.read(_token(authorization))


class RemoteBearer:
    """Has validate check the token, as the original system's gateway had its auth service do.

    Raises Unavailable where validate cannot be reached or answers neither 200 nor 401.
    """

    def __init__(self, address: str) -> None:
        self._url = f"http://{address}/validate"

    def claims(self, authorization: str | None) -> Claims:
        import urllib3

        token = _token(authorization)
        try:
            answer = urllib3.request(
                "POST",
                self._url,
                headers={"Authorization": f"Bearer {token}"},
                timeout=TIMEOUT,
                retries=False,
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable("the login service cannot be reached; try again soon") from error
        if answer.status == HTTPStatus.OK:
            body = json.loads(answer.data)
            return Claims(UUID(body["sub"]), body["username"], body["exp"])
        if answer.status == HTTPStatus.UNAUTHORIZED:
            raise Unauthorized("the token is not valid; log in again")
        raise Unavailable("the login service is in trouble; try again soon")


def _token(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized("send the token of /login as `Authorization: Bearer <token>`")
    return token.strip()
