"""Emails out: by SMTP or by Amazon SES (boto3 is imported only where that is used)."""

import smtplib
import ssl
from email.message import EmailMessage
from typing import Any, Protocol

from functions.model.errors import MailRefused, Unavailable

PERMANENT = 500  # SMTP reply codes from here on are for good
TIMEOUT = 15.0  # seconds for each step of the conversation with the mail server


class Mailer(Protocol):
    """Sends emails: by SMTP (Smtp) or by Amazon SES (Ses)."""

    def send(self, email: EmailMessage) -> None:
        """Returns once the server has taken it. Raises Unavailable (try later) or MailRefused (do not)."""


class Smtp:
    """A mail server, asked anew for each email; an empty user means that it wants no login.

    With `starttls` nothing is sent to a server whose certificate is not accepted: by the CAs of this machine, or where
    `ca_file` names a PEM file by those in it.
    """

    def __init__(
        self, host: str, port: int, *, user: str = "", password: str = "", starttls: bool = False, ca_file: str = ""
    ) -> None:
        self._host, self._port = host, port
        self._user, self._password = user, password
        self._context = ssl.create_default_context(cafile=ca_file or None) if starttls else None

    def send(self, email: EmailMessage) -> None:
        try:
            with smtplib.SMTP(self._host, self._port, timeout=TIMEOUT) as server:
                if self._context:
                    server.starttls(context=self._context)
                if self._user:
                    server.login(self._user, self._password)
                server.send_message(email)
        except smtplib.SMTPRecipientsRefused as error:
            raise _reply_error(next(iter(error.recipients.values()))[0]) from error
        except smtplib.SMTPAuthenticationError as error:
            raise Unavailable("the mail server refuses our login: SMTP_USER or SMTP_PASSWORD is wrong") from error
        except smtplib.SMTPDataError as error:
            raise _reply_error(error.smtp_code) from error
        except smtplib.SMTPResponseException as error:  # it refuses us and not the email, which an operator can mend
            raise Unavailable(f"the mail server refuses us: {error.smtp_code}; is MAIL_FROM right?") from error
        except ssl.SSLCertVerificationError as error:
            hint = "SMTP_HOST must be the name in it, and SMTP_CA_FILE the file of a CA of your own"
            raise Unavailable(f"the mail server's certificate: {error.verify_message}; {hint}") from error
        except smtplib.SMTPNotSupportedError as error:
            raise Unavailable("the mail server offers no STARTTLS, or no login") from error
        except (smtplib.SMTPException, OSError) as error:
            raise Unavailable(f"the mail server cannot be reached: {type(error).__name__}") from error


class Ses:
    """Amazon SES, version 2 of its API; region, credentials and endpoint come from AWS' own variables."""

    # Not MessageRejected, which also says that the sender is not verified or that the account is still in the sandbox:
    # an operator can mend both ("Amazon SES email sending errors" in AWS' developer guide).
    PERMANENT = "BadRequestException"

    def __init__(self) -> None:
        import boto3
        from botocore.config import Config

        limits = Config(connect_timeout=TIMEOUT, read_timeout=TIMEOUT, retries={"max_attempts": 1})
        self._client: Any = boto3.client("sesv2", config=limits)

    def send(self, email: EmailMessage) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client.send_email(
                FromEmailAddress=str(email["From"]),
                Destination={"ToAddresses": [str(email["To"])]},
                Content={"Raw": {"Data": email.as_bytes()}},
            )
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code == self.PERMANENT:
                raise MailRefused(f"SES refuses the email: {code}") from error
            raise Unavailable(f"SES answers {code}") from error
        except BotoCoreError as error:
            raise Unavailable(f"SES cannot be reached: {type(error).__name__}") from error


def _reply_error(code: int) -> Exception:
    """The error that a reply code means (RFC 5321, 4.2.1): 5yz is for good, 4yz may pass.

    The server's own words are left out: they may repeat the address, which must not reach the log.
    """
    if code >= PERMANENT:
        return MailRefused(f"the mail server refuses the email: {code}")
    return Unavailable(f"the mail server answers {code}")
