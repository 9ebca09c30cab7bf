"""Options: what each one takes, what is refused, what excludes what, and that a row brings back what was asked."""

import json
import re
from dataclasses import fields
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from functions.model.encoding import ENCODINGS, Quality
from functions.model.errors import Unprocessable
from functions.model.options import NAMES, Channels, Excluded, Format, Options, WholeNumber, schema
from functions.runtime.settings import Settings

# What somebody writes, and what is meant.
TEXT = {"Größe 映画": "Größe 映画", " a ": "a", "": "", " ": "", "e\u0301": "é", "a\u202eb\x00": "ab"}
LINE = TEXT | {"one\r\ntwo": "one two", "x" * 500: "x" * 500}
TAKEN: dict[str, dict[str, Any]] = {
    "format": {"mp3": "mp3", "m4a": "m4a", "opus": "opus", "flac": "flac", "wav": "wav"},
    "quality": {"standard": "standard", "voice": "voice", "small": "small", "high": "high", "max": "max"},
    "bitrate": {"32": 32, "320": 320, "192": 192},
    "vbr": {"0": 0, "9": 9, "04": 4, " 4 ": 4},
    "channels": {"source": "source", "mono": "mono", "stereo": "stereo"},
    "sample_rate": {"source": None, "8000": 8000, "44100": 44100, "48000": 48000},
    "track": {
        "default": "default",
        "0": "0",
        "12": "12",
        "en": "en",
        "eng": "eng",
        "pt-BR": "pt-BR",
        "zh-Hant": "zh-Hant",
    },
    "start": {
        "0": 0,
        "1.5": 1.5,
        "90": 90,
        "1:30": 90,
        "01:02:03.5": 3723.5,
        "1:00:00": 3600,
        "100:00": 6000,
        "83.33333333333333": 83.333333,  # as a browser tells where a video stands
    },
    "end": {"1": 1, "0:00.250": 0.25, "1000000": 1_000_000},
    "split": {"no": "no", "chapters": "chapters"},
    "loudness": {"off": "off", "podcast": "podcast", "broadcast": "broadcast", "-30": -30, "-8": -8, "-14.5": -14.5},
    "title": LINE,
    "artist": LINE,
    "album": LINE,
    "genre": LINE,
    "year": {"2026": "2026", "": ""},
    "comment": TEXT | {"one\r\ntwo\n": "one\ntwo", "x" * 5000: "x" * 5000},
    "tags": {"keep": "keep", "strip": "strip"},
    "chapters": {"keep": "keep", "strip": "strip"},
    "cover": {"keep": "keep", "strip": "strip", "0": 0, "1:30": 90},
    "copy": {"auto": "auto", "never": "never"},
}
NOT_A_WORD = ["", "MP3", "0", "none", "mp3 m4a"]
NOT_A_TIME = ["-1", "", "1:60", "1:60:00", "1:", ":1", "1e3", "nan", "inf", "1000001", "1,5", "٤", "9" * 5000]
REFUSED = {
    **dict.fromkeys(("format", "quality", "channels", "split", "tags", "chapters", "copy"), NOT_A_WORD),
    "bitrate": ["31", "321", "", "128k", "12.8"],
    "vbr": ["10", "-1", "", "4.5", "four", "4 5", "٤", "9" * 5000],
    "sample_rate": ["7999", "48001", "", "44.1"],
    "track": ["", "first", "-1", "e", "en_US", "en-", "1.5", "x" * 5000, "en" + "-latin123" * 4],
    "start": NOT_A_TIME,
    "end": NOT_A_TIME,
    "loudness": ["", "loud", "-31", "-7", "16", "-16 LUFS", "-nan", "-1e1", "-30.001", "-7.999"],
    **{name: ["x" * 501] for name in ("title", "artist", "album", "genre")},
    "comment": ["x" * 5001],
    "year": ["26", "20261", "MMXX", "-026"],
    "cover": ["upload", "frame", *NOT_A_TIME],
}
EXCLUDED: list[tuple[dict[str, Any], str, str]] = [
    ({"quality": "high", "bitrate": "320"}, "quality", "bitrate"),
    ({"quality": "high", "vbr": "0"}, "quality", "vbr"),
    ({"bitrate": "320", "vbr": "0"}, "bitrate", "vbr"),
    ({"vbr": "0", "format": "m4a"}, "vbr", "format"),
    ({"vbr": "0", "format": "flac"}, "vbr", "format"),
    ({"bitrate": "128", "format": "flac"}, "bitrate", "format"),
    ({"bitrate": "128", "format": "wav"}, "bitrate", "format"),
    ({"bitrate": "100"}, "bitrate", "format"),
    ({"bitrate": "192", "sample_rate": "22050"}, "bitrate", "sample_rate"),
    ({"bitrate": "80", "sample_rate": "8000"}, "bitrate", "sample_rate"),
    ({"sample_rate": "44100", "format": "opus"}, "sample_rate", "format"),
    ({"sample_rate": "44101"}, "sample_rate", "format"),
    ({"bitrate": "300", "channels": "mono", "format": "opus"}, "bitrate", "channels"),
    ({"bitrate": "300", "channels": "mono", "format": "m4a"}, "bitrate", "channels"),
    ({"bitrate": "128", "sample_rate": "8000", "format": "m4a"}, "bitrate", "sample_rate"),
    ({"bitrate": "96", "sample_rate": "8000", "channels": "mono", "format": "m4a"}, "bitrate", "channels"),
    ({"end": "0"}, "start", "end"),
    ({"start": "5", "end": "5"}, "start", "end"),
    ({"start": "1:00", "end": "59.9"}, "start", "end"),
]


def test_every_option_is_tried_here() -> None:
    """Else nothing would hold it."""
    assert set(TAKEN) == set(REFUSED) == set(NAMES)


@pytest.mark.parametrize(("name", "text", "value"), [(name, *each) for name in TAKEN for each in TAKEN[name].items()])
def test_a_value_that_an_option_takes_is_what_was_asked(name: str, text: str, value: Any) -> None:
    """And comes back from the row that keeps it, which is JSON."""
    asked = Options().asked({name: text, "filename": "a.mp4"})
    assert getattr(asked, name) == value
    assert Options.of(json.loads(json.dumps(asked.as_json()))) == asked


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in REFUSED for text in REFUSED[name]])
def test_a_value_that_an_option_does_not_take_is_refused_with_what_it_takes(name: str, text: str) -> None:
    """The problem names the option, so that a page can show it beside the field; of a long text it shows a little."""
    with pytest.raises(Unprocessable) as refusal:
        Options().asked({name: text})
    problem = refusal.value
    assert problem.field == name
    [option] = (each for each in fields(Options) if each.name == name)
    assert problem.detail.startswith(f"`{name}` must be {option.metadata['kind']}, not `{text[:60]}")
    assert option.metadata["meaning"] in problem.detail
    assert len(problem.detail) < 400


@pytest.mark.parametrize(("asked", "name", "other"), EXCLUDED, ids=str)
def test_what_excludes_each_other_is_refused_and_both_are_named(asked: dict[str, Any], name: str, other: str) -> None:
    """With what to do instead."""
    with pytest.raises(Unprocessable, match=f"`{name}` and `{other}` do not go together: .+") as refusal:
        Options().asked(asked)
    assert refusal.value.field == name


@pytest.mark.parametrize(
    ("asked", "bitrate", "vbr", "channels"),
    [
        ({}, None, 2, "source"),
        ({"quality": "voice"}, 64, None, "mono"),
        ({"quality": "small"}, 96, None, "source"),
        ({"quality": "high"}, None, 0, "source"),
        ({"quality": "max"}, 320, None, "source"),
        ({"quality": "voice", "channels": "stereo"}, 64, None, "stereo"),
        ({"format": "m4a"}, 192, None, "source"),
        ({"format": "opus", "quality": "high"}, 256, None, "source"),
        ({"format": "opus", "quality": "voice"}, 64, None, "mono"),
        ({"format": "flac", "quality": "max"}, None, None, "source"),
        ({"format": "wav", "quality": "voice"}, None, None, "mono"),
        ({"bitrate": "128"}, 128, None, "source"),
        ({"vbr": "7"}, None, 7, "source"),
        ({"quality": "max", "sample_rate": "22050"}, 160, None, "source"),
        ({"quality": "small", "sample_rate": "8000"}, 64, None, "source"),
        ({"quality": "high", "sample_rate": "8000"}, None, 0, "source"),
        ({"format": "m4a", "sample_rate": "8000"}, 96, None, "source"),
        ({"format": "m4a", "sample_rate": "8000", "quality": "voice"}, 48, None, "mono"),
        ({"format": "opus", "quality": "max", "channels": "mono"}, 256, None, "mono"),
    ],
    ids=str,
)
def test_a_quality_stands_beside_what_it_means(
    asked: dict[str, str], bitrate: int | None, vbr: int | None, channels: str
) -> None:
    """As far as the format has it; in a bitrate or vbr that was asked for no quality is left."""
    chosen = Options().asked(asked)
    assert (chosen.bitrate, chosen.vbr, chosen.channels) == (bitrate, vbr, channels)
    assert (chosen.quality is None) == bool({"bitrate", "vbr"} & set(asked))


def test_a_repeat_may_ask_in_other_words() -> None:
    """A default may be spelt out, and the row of an earlier release does not say how its vbr was asked for."""
    default = Options(vbr=4).asked({})
    for same in ({"vbr": "4"}, {"quality": "standard"}, {"format": "mp3", "copy": "auto", "title": None}):
        assert Options(vbr=4).asked(same).is_repeat_of(default)
    assert default.is_repeat_of(Options.of({"vbr": 4}))
    for other in ({"vbr": "3"}, {"quality": "small"}, {"title": ""}, {"format": "wav"}, {"start": "0"}):
        assert not Options(vbr=4).asked(other).is_repeat_of(default)


@pytest.mark.parametrize("channels", [*Channels, None])
@pytest.mark.parametrize("quality", Quality)
@pytest.mark.parametrize("format_", Format)
def test_what_a_quality_means_can_itself_be_asked_for(
    format_: Format, quality: Quality, channels: Channels | None
) -> None:
    """At every sample rate that the format has."""
    for rate in (None, *(each for each in ENCODINGS[format_].sample_rates if each <= 48_000)):
        sound = {"format": format_, "sample_rate": rate}
        chosen = Options().asked({**sound, "quality": quality, "channels": channels})
        size = {"bitrate": chosen.bitrate, "vbr": chosen.vbr}
        asked = Options().asked({**sound, **size, "channels": chosen.channels})
        assert {name: getattr(asked, name) for name in size} == size


@pytest.mark.parametrize("format_", Format)
def test_a_bitrate_is_taken_or_the_nearest_is_named(format_: Format) -> None:
    """What the problem names is taken when it is asked for."""
    for bitrate in range(32, 321):
        for rate in ("source", 8000, 16_000, 48_000):
            asked = {"format": format_, "sample_rate": rate, "channels": "mono"}
            try:
                Options().asked({**asked, "bitrate": bitrate})
            except Unprocessable as refusal:
                named = re.findall("[0-9]+", refusal.detail)
                assert (named == []) == (format_ in ("flac", "wav"))
                for each in named:
                    Options().asked({**asked, "bitrate": each})


def test_what_a_deployment_means_by_standard_is_its_setting() -> None:
    """It is another number for MP3 alone, and for no other quality."""
    assert Options(vbr=5).asked({}).vbr == 5
    assert Options(vbr=5).asked({"quality": "standard"}).vbr == 5
    assert Options(vbr=5).asked({"quality": "high"}).vbr == 0
    assert Options(vbr=5).asked({"format": "m4a"}).vbr is None


def test_json_values_are_taken_as_texts_are() -> None:
    """Numbers as numbers, and null where nothing is asked."""
    body = {
        "bitrate": 128.0,
        "start": 1.5,
        "end": 90,
        "loudness": -14,
        "track": 2,
        "cover": 3,
        "title": None,
        "year": 1999,
    }
    texts = {
        "bitrate": "128",
        "start": "1.5",
        "end": "1:30",
        "loudness": "-14",
        "track": "2",
        "cover": "3",
        "year": "1999",
    }
    assert Options().asked(body) == Options().asked(texts)
    assert Options().asked({"start": 1e-7, "end": 83.33333333333333}) == Options().asked(
        {"start": "0", "end": "83.333333"}
    )


@pytest.mark.parametrize("value", [True, [], {}, [1], 1.5, 1e30, float("nan")])
def test_json_that_is_no_value_of_an_option_is_refused(value: object) -> None:
    for name in ("bitrate", "title", "format", "start", "track") if not isinstance(value, float) else ("bitrate",):
        with pytest.raises(Unprocessable, match=f"`{name}` must be"):
            Options().asked({name: value})


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in TAKEN for text in TAKEN[name]])
def test_the_schema_takes_what_is_taken(name: str, text: str) -> None:
    """The value as it stands in a job's document can be sent again."""
    jsonschema.validate({name: Options().asked({name: text}).as_json()[name]}, schema())


numbers = st.integers(-100, 400) | st.integers() | st.decimals(-40, 4000, places=2).map(float)


@given(st.sampled_from(NAMES), st.none() | st.booleans() | numbers | st.lists(st.none()))
def test_the_schema_and_the_options_take_the_same_values(name: str, value: object) -> None:
    """Of everything that is not text; a text may also stand for a number, as in a form."""
    try:
        Options().asked({name: value})
    except Excluded:
        return
    except Unprocessable:
        taken = False
    else:
        taken = True
    assert Draft202012Validator(schema()).is_valid({name: value}) is taken


def test_the_schema_says_what_each_option_means_and_what_holds_without_it() -> None:
    """A program can make a form of it; what it says stands for an option is taken, and changes nothing."""
    Draft202012Validator.check_schema(schema())
    properties = schema()["properties"]
    assert tuple(properties) == NAMES
    assert all(each["description"] for each in properties.values())
    defaults = {name: each["default"] for name, each in properties.items() if "default" in each}
    assert len(defaults) == 11
    jsonschema.validate(defaults, schema())
    assert Options().asked(defaults) == Options()


@given(st.dictionaries(st.sampled_from(NAMES), st.none() | st.booleans() | st.integers() | st.floats() | st.text()))
def test_whatever_is_asked_is_taken_or_refused(body: dict[str, Any]) -> None:
    """Never another error, and what is taken survives its row."""
    try:
        chosen = Options().asked(body)
    except Unprocessable:
        return
    assert Options.of(json.loads(json.dumps(chosen.as_json()))) == chosen


def test_a_row_that_is_older_or_newer_than_an_option_is_read() -> None:
    """Before the option there was its default; after a step back to this release there is more than it knows."""
    assert Options.of({}) == Options()
    assert Options.of({"vbr": 3}) == Options(quality=None, vbr=3)  # an earlier release wrote no more than that
    assert Options.of(Options(vbr=3).as_json() | {"karaoke": True}) == Options(vbr=3)


def test_sound_is_as_it_was_unless_something_else_is_asked() -> None:
    """Tags, chapters, cover and track leave the sound as it is."""
    for same in ({}, {"format": "m4a"}, {"track": "en", "title": "x", "cover": "strip", "chapters": "strip"}):
        assert not Options(vbr=4).asked(same).asks_for_other_sound
    for other in (
        {"bitrate": "128"},
        {"vbr": "2"},
        {"quality": "max"},
        {"start": "0"},
        {"loudness": "podcast"},
        {"channels": "mono"},
    ):
        assert Options().asked(other).asks_for_other_sound


def test_the_setting_and_the_option_have_one_default() -> None:
    """A job that is older than the option was converted as the setting said."""
    assert Settings().mp3_quality == Options().vbr


def test_a_whole_number_says_its_bounds() -> None:
    """In the sentence that refuses another one."""
    assert str(WholeNumber(32, 320)) == "a whole number from 32 to 320"
    assert str(WholeNumber(1, 2, "any")) == "`any` or a whole number from 1 to 2"
    assert WholeNumber(-30, -8).parse("-8") == -8


def test_channels_that_were_asked_for_stay_so() -> None:
    assert Options(channels=Channels.MONO).asked({"quality": "high"}).channels is Channels.MONO
