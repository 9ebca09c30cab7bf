"""The names in a Content-Disposition header, of a form's part or of a request, however a client writes them."""

import re
from urllib.parse import unquote_to_bytes

from functions.model import media

# A value stands in quotes or ends at the next semicolon, for clients write names with spaces and letters of any kind
# without quotes too. A backslash means itself unless a quote or another backslash follows, because of the folders of
# Windows (RFC 6266, appendix D). Each character fits one alternative only, so that the time this takes grows with the
# length of a stranger's header and no faster.
_PARAMETER = re.compile(
    r"""(?:^|;)\s*(?P<name>[^\s=;"]+)\s*=\s*"""
    r"""(?:"(?P<quoted>(?:[^"\\]|\\["\\]|\\(?!["\\]))*)"(?=\s*(?:;|$))|(?P<bare>[^;]*))""",
    re.DOTALL,
)
# RFC 8187, 3.2: the charset, a language or none, and the name as percent-encoded bytes.
_EXTENDED = re.compile(r"(?P<charset>utf-8|iso-8859-1|windows-1252)'[^']*'(?P<name>.+)", re.DOTALL | re.IGNORECASE)


def name(header: str) -> str | None:
    """The field of the form that the part belongs to; None where the header does not say."""
    return _parameters(header).get("name")


def filename(header: str) -> str | None:
    """The name of the file, the extended one if there is one (RFC 6266, 4.3); None where the part is no file."""
    given = _parameters(header)
    plain, extended = given.get("filename"), given.get("filename*")
    if extended is None:
        return plain
    if found := _EXTENDED.fullmatch(extended):
        sent = unquote_to_bytes(found["name"])
        return media.text(sent) if found["charset"].lower() == "utf-8" else sent.decode("cp1252", "replace")
    # The extended name is empty or of a charset that we do not know: take the plain one, or else guess.
    return plain or media.text(unquote_to_bytes(re.sub("^[^']*'[^']*'", "", extended)))


def _parameters(header: str) -> dict[str, str]:
    """The parameters by name; of one that comes twice the first counts."""
    found = reversed([*_PARAMETER.finditer(header)])
    return {
        each["name"].lower(): each["bare"].strip().strip('"') if each["quoted"] is None else _unescaped(each["quoted"])
        for each in found
    }


def _unescaped(quoted: str) -> str:
    """A quoted value without escapes: the backslashes of RFC 9110, 5.6.4, and what browsers write in forms (WHATWG)."""
    plain = re.sub(r'\\(["\\])', r"\1", quoted)
    return plain.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")
