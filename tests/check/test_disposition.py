"""What a Content-Disposition names, however a client writes it."""

from hypothesis import example, given
from hypothesis import strategies as some

from functions.upload import disposition

letters = some.text(some.characters(exclude_characters='%\r\n"\\'), max_size=40)


@given(letters)
@example("a; filename=b; c.mp4")
@example("filename*=UTF-8''b.mp4")
@example("' ; name=b")
def test_a_name_comes_back_as_a_browser_wrote_it(name: str) -> None:
    """Whatever else in it looks like a parameter; a quote is %22 (WHATWG) or stands behind a backslash (RFC 9110)."""
    for quote in ("%22", '\\"'):
        header = f'form-data; name="file"; filename="{quote}{name}{quote}"'
        assert (disposition.name(header), disposition.filename(header)) == ("file", f'"{name}"')


@given(some.text(some.sampled_from("\\\"';=* \t%2fa\0") | some.characters(), max_size=80))
@example("\\" * 100_000)
@example('\\"' * 100_000)
@example(';x="' * 100_000)
def test_any_header_is_read(rest: str) -> None:
    """Also one that is meant to take for ever, and always to the same end: there is a file."""
    assert disposition.filename(f'form-data; name="file"; filename="{rest}') is not None
