"""The names in a Content-Disposition header, however a client writes them."""

from hypothesis import example, given
from hypothesis import strategies as some

from functions.upload import disposition

letters = some.text(some.characters(exclude_characters='%\r\n"\\'), max_size=40)


@given(letters)
@example("a; filename=b; c.mp4")
@example("filename*=UTF-8''b.mp4")
@example("' ; name=b")
def test_a_name_comes_back_as_a_browser_wrote_it(name: str) -> None:
    """Though parts of it look like parameters. A quote is written %22 (WHATWG) or behind a backslash (RFC 9110)."""
    for quote in ("%22", '\\"'):
        header = f'form-data; name="file"; filename="{quote}{name}{quote}"'
        assert (disposition.name(header), disposition.filename(header)) == ("file", f'"{name}"')


@given(some.text(some.sampled_from("\\\"';=* \t%2fa\0") | some.characters(), max_size=80))
@example("\\" * 100_000)
@example('\\"' * 100_000)
@example(';x="' * 100_000)
def test_any_header_is_read(rest: str) -> None:
    """Also one that is made to take a regular expression very long. In each of these there is a file."""
    assert disposition.filename(f'form-data; name="file"; filename="{rest}') is not None
