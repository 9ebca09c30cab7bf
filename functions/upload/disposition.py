"""What a Content-Disposition names, in a part of a form or in the head of a request, as clients really write it."""

import re
from urllib.parse import unquote_to_bytes

from functions.model import media

# A value is quoted or ends at the next semicolon: names with spaces and letters of any kind come without quotes too.
# A backslash means itself unless a quote or another one follows (folders of Windows: RFC 6266, appendix D). Each
# character fits one alternative only: a stranger's header is read in the time of its length.
_PARAMETER = re.compile(
    r"""(?:^|;)\s*(?P<name>[^\s=;"]+)\s*=\s*"""
    r"""(?:"(?P<quoted>(?:[^"\\]|\\["\\]|\\(?!["\\]))*)"(?=\s*(?:;|$))|(?P<bare>[^;]*))""",
    re.DOTALL,
)
# RFC 8187, 3.2: the charset, perhaps a language, and the name in bytes.
_EXTENDED = re.compile(r"(?P<charset>utf-8|iso-8859-1|windows-1252)'[^']*'(?P<name>.+)", re.DOTALL | re.IGNORECASE)


def name(header: str) -> str | None:
    """The form's field."""
    return _parameters(header).get("name")


def filename(header: str) -> str | None:
    """The file's name, the extended one first (RFC 6266, 4.3); None where the header speaks of no file."""
    given = _parameters(header)
    plain, extended = given.get("filename"), given.get("filename*")
    if extended is None:
        return plain
    if found := _EXTENDED.fullmatch(extended):
        sent = unquote_to_bytes(found["name"])
        return media.text(sent) if found["charset"].lower() == "utf-8" else sent.decode("cp1252", "replace")
    # Empty, or of a charset that is not known: a guess, for want of a plain one.
    return plain or media.text(unquote_to_bytes(re.sub("^[^']*'[^']*'", "", extended)))


def _parameters(header: str) -> dict[str, str]:
    """Where one comes twice the first counts."""
    found = reversed([*_PARAMETER.finditer(header)])
    return {
        each["name"].lower(): each["bare"].strip().strip('"') if each["quoted"] is None else _unescaped(each["quoted"])
        for each in found
    }


def _unescaped(quoted: str) -> str:
    """Without the backslashes of RFC 9110, and without what a browser's form writes instead of them (WHATWG)."""
    plain = re.sub(r'\\(["\\])', r"\1", quoted)
    return plain.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")
