"""RFC 9110, 13 and 14, as one table: conditions and ranges that a request asks with, and the status that it gets."""

from dataclasses import dataclass
from datetime import datetime, timedelta

SIZE = 1024 * 1024 + 1000  # of the file that is asked for: more than one of GridFS' chunks
HUGE = "9" * 400


@dataclass(frozen=True)
class Known:
    """What a client knows of the file; rows of the table refer to it by names in braces."""

    etag: str  # as it stands in the header
    modified: datetime

    def fill(self, headers: dict[str, str]) -> dict[str, str]:
        earlier, later = self.modified - timedelta(seconds=1), self.modified + timedelta(seconds=1)
        names = {
            "etag": self.etag,
            "unquoted": self.etag.strip('"'),
            "modified": _fixdate(self.modified),
            "earlier": _fixdate(earlier),
            "later": _fixdate(later),
            "modified_850": f"{self.modified:%A, %d-%b-%y %H:%M:%S} GMT",
            "earlier_850": f"{earlier:%A, %d-%b-%y %H:%M:%S} GMT",
            "modified_asctime": f"{self.modified:%a %b} {self.modified.day:2} {self.modified:%H:%M:%S %Y}",
            "earlier_asctime": f"{earlier:%a %b} {earlier.day:2} {earlier:%H:%M:%S %Y}",
        }
        return {name: value.format(**names) for name, value in headers.items()}


def _fixdate(date: datetime) -> str:
    return f"{date:%a, %d %b %Y %H:%M:%S} GMT"


# By section: the headers, and the status that they get; a pair is a 206 with the bytes from the first up to the second.
WHOLE, UNCHANGED, FAILED, UNSATISFIABLE = 200, 304, 412, 416
Row = tuple[dict[str, str], int | tuple[int, int]]
TABLE: dict[str, list[Row]] = {
    "13.1.1 If-Match: any of a list, compared strongly": [
        ({"If-Match": "*"}, WHOLE),
        ({"If-Match": " * "}, WHOLE),
        ({"If-Match": "{etag}"}, WHOLE),
        ({"If-Match": '"zzz", {etag}'}, WHOLE),
        ({"If-Match": '"a,b" ,\t,{etag},'}, WHOLE),
        ({"If-Match": '"zzz"'}, FAILED),
        ({"If-Match": '""'}, FAILED),
        ({"If-Match": '"*"'}, FAILED),
        ({"If-Match": "W/{etag}"}, FAILED),
        ({"If-Match": 'W/{etag}, "zzz"'}, FAILED),
        ({"If-Match": '"{etag}"'}, FAILED),
        ({"If-Match": '"x{unquoted}"'}, FAILED),
        ({"If-Match": "zzz"}, FAILED),
        ({"If-Match": "\xff"}, FAILED),
    ],
    "13.1.2 If-None-Match: any of a list, compared weakly": [
        ({"If-None-Match": "*"}, UNCHANGED),
        ({"If-None-Match": "{etag}"}, UNCHANGED),
        ({"If-None-Match": "W/{etag}"}, UNCHANGED),
        ({"If-None-Match": '"zzz", W/"a,b", {etag}'}, UNCHANGED),
        ({"If-None-Match": '"zzz",{etag}'}, UNCHANGED),
        ({"If-None-Match": '"zzz"'}, WHOLE),
        ({"If-None-Match": '"zzz", W/"yyy"'}, WHOLE),
        ({"If-None-Match": '""'}, WHOLE),
        ({"If-None-Match": '"*"'}, WHOLE),
        ({"If-None-Match": "zzz"}, WHOLE),
    ],
    "13.1.3 If-Modified-Since: any of the three forms of a date (5.6.7); what is none is ignored": [
        ({"If-Modified-Since": "{modified}"}, UNCHANGED),
        ({"If-Modified-Since": "{later}"}, UNCHANGED),
        ({"If-Modified-Since": "{modified_850}"}, UNCHANGED),
        ({"If-Modified-Since": "{modified_asctime}"}, UNCHANGED),
        ({"If-Modified-Since": "Fri, 31 Dec 9999 23:59:59 GMT"}, UNCHANGED),
        ({"If-Modified-Since": "{earlier}"}, WHOLE),
        ({"If-Modified-Since": "{earlier_850}"}, WHOLE),
        ({"If-Modified-Since": "{earlier_asctime}"}, WHOLE),
        ({"If-Modified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"}, WHOLE),
        ({"If-Modified-Since": "{later}, {later}"}, WHOLE),
        ({"If-Modified-Since": "tomorrow"}, WHOLE),
        ({"If-Modified-Since": "4102444800"}, WHOLE),
        ({"If-Modified-Since": "2099-12-31T23:59:59Z"}, WHOLE),
        ({"If-Modified-Since": "Thu, 31 Dec 2099 23:59:59 +0000"}, WHOLE),
        ({"If-Modified-Since": "Thu, 99 Dec 2099 23:59:59 GMT"}, WHOLE),
        ({"If-Modified-Since": ""}, WHOLE),
    ],
    "13.1.4 If-Unmodified-Since": [
        ({"If-Unmodified-Since": "{modified}"}, WHOLE),
        ({"If-Unmodified-Since": "{later}"}, WHOLE),
        ({"If-Unmodified-Since": "{earlier}"}, FAILED),
        ({"If-Unmodified-Since": "{earlier_850}"}, FAILED),
        ({"If-Unmodified-Since": "{earlier_asctime}"}, FAILED),
        ({"If-Unmodified-Since": "yesterday"}, WHOLE),
    ],
    "13.2.2 Precedence": [
        ({"If-Match": "{etag}", "If-Unmodified-Since": "{earlier}"}, WHOLE),
        ({"If-Match": '"zzz"', "If-Unmodified-Since": "{later}"}, FAILED),
        ({"If-Match": "{etag}", "If-None-Match": "{etag}"}, UNCHANGED),
        ({"If-Match": '"zzz"', "If-None-Match": "{etag}"}, FAILED),
        ({"If-Match": "*", "If-None-Match": '"zzz"'}, WHOLE),
        ({"If-Match": "{etag}", "If-Modified-Since": "{later}"}, UNCHANGED),
        ({"If-Unmodified-Since": "{later}", "If-None-Match": "{etag}"}, UNCHANGED),
        ({"If-Unmodified-Since": "{earlier}", "If-None-Match": "{etag}"}, FAILED),
        ({"If-Unmodified-Since": "{modified}", "If-Modified-Since": "{modified}"}, UNCHANGED),
        ({"If-None-Match": '"zzz"', "If-Modified-Since": "{later}"}, WHOLE),
        ({"If-None-Match": "{etag}", "If-Modified-Since": "{earlier}"}, UNCHANGED),
        ({"If-None-Match": "zzz", "If-Modified-Since": "{later}"}, WHOLE),
    ],
    "14.1.2 One range": [
        ({"Range": "bytes=0-0"}, (0, 1)),
        ({"Range": "bytes=5-9"}, (5, 10)),
        ({"Range": "bytes=005-0009"}, (5, 10)),
        ({"Range": "bytes=0-"}, (0, SIZE)),
        ({"Range": "bytes=1048575-1048576"}, (1048575, 1048577)),  # across two chunks
        ({"Range": f"bytes={SIZE - 1}-"}, (SIZE - 1, SIZE)),
        ({"Range": f"bytes={SIZE - 1}-{SIZE - 1}"}, (SIZE - 1, SIZE)),
        ({"Range": f"bytes=5-{SIZE + 5}"}, (5, SIZE)),
        ({"Range": f"bytes=5-{HUGE}"}, (5, SIZE)),
        ({"Range": "bytes=-5"}, (SIZE - 5, SIZE)),
        ({"Range": f"bytes=-{SIZE}"}, (0, SIZE)),
        ({"Range": f"bytes=-{SIZE + 5}"}, (0, SIZE)),
        ({"Range": f"bytes=-{HUGE}"}, (0, SIZE)),
        ({"Range": "Bytes=5-9"}, (5, 10)),
        ({"Range": "bytes=5-9,"}, (5, 10)),
        ({"Range": "bytes=,\t 5-9 ,,"}, (5, 10)),
    ],
    "14.2, 15.5.17 Nothing of it is there": [
        ({"Range": f"bytes={SIZE}-"}, UNSATISFIABLE),
        ({"Range": f"bytes={SIZE}-{SIZE}"}, UNSATISFIABLE),
        ({"Range": f"bytes={SIZE + 5}-{SIZE + 9}"}, UNSATISFIABLE),
        ({"Range": f"bytes={HUGE}-"}, UNSATISFIABLE),
        ({"Range": "bytes=-0"}, UNSATISFIABLE),
        ({"Range": "bytes=-000"}, UNSATISFIABLE),
        ({"Range": f"bytes=-0,{SIZE}-"}, UNSATISFIABLE),
        ({"Range": f"bytes={SIZE + 9}-,{SIZE}-{SIZE + 1}"}, UNSATISFIABLE),
    ],
    "14.2 Several: may be ignored, and are": [
        ({"Range": "bytes=0-1,5-9"}, WHOLE),
        ({"Range": "bytes=5-9, 0-1"}, WHOLE),
        ({"Range": "bytes=0-9,5-14"}, WHOLE),
        ({"Range": "bytes=0-1,-2"}, WHOLE),
        ({"Range": f"bytes=0-1,{SIZE}-"}, WHOLE),
        ({"Range": "bytes=" + ",".join(["0-0"] * 500)}, WHOLE),
    ],
    "14.1.1, 14.2 What cannot be read, and units that are none of ours": [
        ({"Range": "bytes=9-5"}, WHOLE),
        ({"Range": f"bytes={SIZE + 9}-{SIZE + 5}"}, WHOLE),
        ({"Range": "bytes=0-1,9-5"}, WHOLE),
        ({"Range": "bytes=a-b"}, WHOLE),
        ({"Range": "bytes=0-1,a"}, WHOLE),
        ({"Range": "bytes=-"}, WHOLE),
        ({"Range": "bytes=--5"}, WHOLE),
        ({"Range": "bytes=-5-"}, WHOLE),
        ({"Range": "bytes=+5-9"}, WHOLE),
        ({"Range": "bytes=0x5-9"}, WHOLE),
        ({"Range": "bytes=5_0-99"}, WHOLE),
        ({"Range": "bytes=\xb2-9"}, WHOLE),
        ({"Range": "bytes=5 - 9"}, WHOLE),
        ({"Range": "bytes =5-9"}, WHOLE),
        ({"Range": "bytes: 5-9"}, WHOLE),
        ({"Range": "bytes=5"}, WHOLE),
        ({"Range": "bytes="}, WHOLE),
        ({"Range": "bytes=,"}, WHOLE),
        ({"Range": "bytes"}, WHOLE),
        ({"Range": "=5-9"}, WHOLE),
        ({"Range": ""}, WHOLE),
        ({"Range": "bytes=" + HUGE}, WHOLE),
        ({"Range": "bytes=5-9,bytes=0-1"}, WHOLE),
        ({"Range": "pages=1-2"}, WHOLE),
        ({"Range": "none"}, WHOLE),
    ],
    "13.1.5 If-Range: a strong tag or the very date; otherwise the whole, also where the part is not there": [
        ({"Range": "bytes=5-9", "If-Range": "{etag}"}, (5, 10)),
        ({"Range": "bytes=5-9", "If-Range": "{modified}"}, (5, 10)),
        ({"Range": "bytes=5-9", "If-Range": "{modified_850}"}, (5, 10)),
        ({"Range": "bytes=5-9", "If-Range": "W/{etag}"}, WHOLE),
        ({"Range": "bytes=5-9", "If-Range": '"zzz"'}, WHOLE),
        ({"Range": "bytes=5-9", "If-Range": "{unquoted}"}, WHOLE),
        ({"Range": "bytes=5-9", "If-Range": "*"}, WHOLE),
        ({"Range": "bytes=5-9", "If-Range": "{earlier}"}, WHOLE),
        ({"Range": "bytes=5-9", "If-Range": "{later}"}, WHOLE),
        ({"Range": "bytes=5-9", "If-Range": "yesterday"}, WHOLE),
        ({"Range": f"bytes={SIZE}-", "If-Range": "{etag}"}, UNSATISFIABLE),
        ({"Range": f"bytes={SIZE}-", "If-Range": '"zzz"'}, WHOLE),
        ({"If-Range": "{etag}"}, WHOLE),
        ({"If-Range": '"zzz"'}, WHOLE),
    ],
    "13.2.2 The others come first": [
        ({"Range": "bytes=5-9", "If-Match": "*"}, (5, 10)),
        ({"Range": "bytes=5-9", "If-Match": "{etag}"}, (5, 10)),
        ({"Range": "bytes=5-9", "If-Match": '"zzz"'}, FAILED),
        ({"Range": "bytes=5-9", "If-Unmodified-Since": "{earlier}"}, FAILED),
        ({"Range": "bytes=5-9", "If-None-Match": "{etag}"}, UNCHANGED),
        ({"Range": "bytes=5-9", "If-None-Match": '"zzz"'}, (5, 10)),
        ({"Range": "bytes=5-9", "If-Modified-Since": "{modified}"}, UNCHANGED),
        ({"Range": "bytes=5-9", "If-Modified-Since": "{earlier}"}, (5, 10)),
        ({"Range": "bytes=5-9", "If-Range": "{etag}", "If-None-Match": "{etag}"}, UNCHANGED),
        ({"Range": "bytes=5-9", "If-Range": '"zzz"', "If-Match": "{etag}"}, WHOLE),
        ({"Range": f"bytes={SIZE}-", "If-Match": '"zzz"'}, FAILED),
        ({"Range": f"bytes={SIZE}-", "If-None-Match": "{etag}"}, UNCHANGED),
    ],
}
