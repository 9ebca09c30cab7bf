"""What counts as media, by the first bytes of a file."""

from random import Random

import pytest

from functions.model.containers import SNIFF_BYTES, Container, Extent, find, sniff

TS_PACKET = b"\x47\x40\x11\x10" + b"\xff" * 184
MP3_FRAME = b"\xff\xfb\x90\x00" + b"\0" * 413  # MPEG-1 layer III, 128 kbit/s, 44100 Hz
ADTS_FRAME = b"\xff\xf1\x50\x80\x01\x7f\xfc" + b"\0" * 4  # 11 bytes

AC3_FRAME = b"\x0b\x77\0\0\0\x40" + b"\0" * 122  # 32 kbit/s, 48 kHz
EAC3_FRAME = b"\x0b\x77\0\x3f\0\x80" + b"\0" * 122
THREE_GPP = ("3gp4", "3gp5", "3gp6", "3ge6", "3gg6", "3gr6", "3gs7", "3g2a", "3g2b", "kddi", "mmp4", "isom")

MEDIA = {
    "mp4": (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", Container.MP4),
    "QuickTime that begins with its sound": (b"\0\0\0\x01mdat" + b"\0" * 8, Container.MP4),
    "old QuickTime": (b"\0\0\0\x08wide\0\1\2\3mdat", Container.MP4),
    "Matroska": (
        b"\x1aE\xdf\xa3\xa3B\x86\x81\1B\xf7\x81\1B\xf2\x81\4B\xf3\x81\x08B\x82\x88matroska",
        Container.MATROSKA,
    ),
    "WebM": (b"\x1aE\xdf\xa3\x9fB\x86\x81\1B\x82\x84webm", Container.MATROSKA),
    "AVI": (b"RIFF\x10\0\0\0AVI LIST", Container.AVI),
    "WAV": (b"RIFF\xff\xff\xff\xffWAVEfmt ", Container.WAV),
    "WAV beyond 4 GB": (b"RF64\xff\xff\xff\xffWAVEds64", Container.WAV),
    "Flash": (b"FLV\x01\5\0\0\0\x09", Container.FLV),
    "Ogg": (b"OggS\0\2", Container.OGG),
    "Windows Media": (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), Container.ASF),
    "MPEG-2 program stream": (b"\0\0\1\xba\x44\0\4", Container.MPEG_PS),
    "MPEG-1 program stream": (b"\0\0\1\xba\x21\0\1", Container.MPEG_PS),
    "transport stream": (TS_PACKET * 8, Container.MPEG_TS),
    "transport stream from the middle of a packet": (TS_PACKET[100:] + TS_PACKET * 8, Container.MPEG_TS),
    "camcorder's transport stream": ((b"\0\0\0\1" + TS_PACKET) * 8, Container.MPEG_TS),
    "transport stream with parity": ((TS_PACKET + b"\1" * 16) * 8, Container.MPEG_TS),
    "FLAC": (b"fLaC\0\0\0\x22", Container.FLAC),
    "MP3": (MP3_FRAME * 3, Container.MP3),
    "MP3 behind a tag": (b"ID3\x03\0\0\0\0\0\x0a" + b"\0" * 10 + MP3_FRAME * 2, Container.MP3),
    "MP3 behind a tag with a large picture": (b"ID3\x04\0\0\0\7\x7f\x7f" + b"\1" * 4000, Container.MP3),
    "FLAC behind a tag": (b"ID3\x04\0\0\0\0\0\x0a" + b"\0" * 10 + b"fLaC", Container.FLAC),
    "raw AAC": (ADTS_FRAME * 3, Container.AAC),
    "AC-3": (AC3_FRAME * 3, Container.AC3),
    "Enhanced AC-3": (EAC3_FRAME * 3, Container.EAC3),
    "AC-3 with an enhancement": ((AC3_FRAME + EAC3_FRAME) * 2, Container.EAC3),
    "DTS": (b"\x7f\xfe\x80\x01\xfc\x3c\x7f\xf0", Container.DTS),
    "DTS with its bytes swapped": (b"\xfe\x7f\x01\x80\x3c\xfc\xf0\x7f", Container.DTS),
    "AIFF": (b"FORM\0\0\0\0AIFFCOMM", Container.AIFF),
    "AIFF-C": (b"FORM\0\0\0\0AIFCFVER", Container.AIFF),
    "AMR": (b"#!AMR\n\x3c", Container.AMR),
    "wideband AMR": (b"#!AMR-WB\n\x44", Container.AMR),
    "Core Audio": (b"caff\0\1\0\0desc", Container.CAF),
    "DV": (b"\x1f\x07\0\xbf" + b"\xff" * 76 + b"\x3f\x07\0", Container.DV),
    "Wave64": (b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0", Container.W64),
    "WavPack": (b"wvpk\xb0\x17\0\0\x10\4\0\0", Container.WAVPACK),
    "Monkey's Audio": (b"MAC \x96\x0f\0\0", Container.APE),
    "Sun's": (b".snd\0\0\0\x18", Container.AU),
    "True Audio": (b"TTA1\1\0\2\0", Container.TTA),
    "TAK": (b"tBaK\1", Container.TAK),
    "Musepack": (b"MP+\x07", Container.MUSEPACK_7),
    "Musepack 8": (b"MPCKSH", Container.MUSEPACK_8),
    "DSF": (b"DSD \x1c\0\0\0\0\0\0\0", Container.DSF),
    "Creative Voice": (b"Creative Voice File\x1a", Container.VOC),
    "RealMedia": (b".RMF\0\0\0\x12", Container.REALMEDIA),
    "MXF": (b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02", Container.MXF),
    "Windows' television": (bytes.fromhex("b7d800203749da11a64e0007e95ead8d"), Container.WTV),
    **{f"3GP of brand {brand}": (b"\0\0\0\x18ftyp" + brand.encode(), Container.MP4) for brand in THREE_GPP},
}

NOT_MEDIA = {
    "nothing": b"",
    "text": b"Dear all, the video is attached.",
    "text that says what a box says": b"The free world and its friends",
    "text whose columns repeat": (b"G001 a line of a table".ljust(187, b".") + b"\n") * 99,
    "text of one letter": b"G" * SNIFF_BYTES,
    "HLS playlist": b"#EXTM3U\n#EXTINF:5,\nfile:///etc/passwd\n",
    "ffconcat script": b"ffconcat version 1.0\nfile plain.mp4\n",
    "concat address": b"concat:a.ts|b.ts",
    "HTML": b"<!doctype html><video src=a.mp4>",
    "JPEG": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "PNG": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "GIF": b"GIF89a",
    "WebP": b"RIFF\x10\0\0\0WEBPVP8 ",
    "AVIF": b"\0\0\0\x20ftypavif\0\0\0\0",
    "HEIC": b"\0\0\0\x20ftypheic\0\0\0\0",
    "zip": b"PK\x03\x04\x14\0",
    "PDF": b"%PDF-1.7\n",
    "ELF": b"\x7fELF\2\1\1",
    "UTF-16 text": b"\xff\xfea\0b\0c\0" * 400,
    "EBML that is no Matroska": b"\x1aE\xdf\xa3\x9fB\x86\x81\1B\x82\x84note",
    "one MP3 frame and noise": MP3_FRAME + b"noise",
    "MP3's sync alone": b"\xff\xfb",
    "a tag that is none": b"ID3 is a tag format.",
    "half a signature": b"\0\0\0\x20ft",
    "XML playlist": b'<?xml version="1.0"?><MPD><BaseURL>a.mp4</BaseURL></MPD>',
    "JSON": b'{"url": "file:///etc/passwd"}',
    "script": b"#!/bin/sh\nexec ffmpeg\n",
    "TIFF": b"II*\0\x08\0\0\0",
    "BMP": b"BM\x36\x10\x0e\0\0\0\0\0\x36\0\0\0",
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 ",
    "program of Windows": b"MZ\x90\0\3\0\0\0",
    "zeros": bytes(SNIFF_BYTES),
    "ones": b"\xff" * SNIFF_BYTES,
    "AMR's name and no more": b"#!AMR is a format",
    **{
        f"{name} that hides {hidden}": front + b"\0" * 300 + sound
        for name, front in (
            ("a zip", b"PK\x03\x04\x14\0"),
            ("a PDF", b"%PDF-1.7\n"),
            ("a JPEG", b"\xff\xd8\xff\xe0\0\x10JFIF"),
            ("a PNG", b"\x89PNG\r\n\x1a\n"),
            ("a HEIC", b"\0\0\0\x20ftypheic\0\0\0\0"),
            ("an ELF", b"\x7fELF\2\1\1"),
            ("HTML", b"<!doctype html>"),
            ("an HLS playlist", b"#EXTM3U\n"),
            ("an ffconcat script", b"ffconcat version 1.0\nfile a.mp4\n"),
            ("an OptimFROG", b"OFR \x0c\0\0\0"),
            ("a Shorten", b"ajkg\2"),
        )
        for hidden, sound in (
            ("an MP3", MP3_FRAME * 20),
            ("a transport stream", TS_PACKET * 20),
            ("an MP4", b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41"),
            ("an Ogg", b"OggS\0\2" + b"\0" * 60),
            ("a WAV", b"RIFF\x24\x10\0\0WAVEfmt "),
        )
    },
}


@pytest.mark.parametrize("name", MEDIA)
def test_media_is_known_by_its_first_bytes(name: str) -> None:
    """Each container names the one ffmpeg demuxer that may open it."""
    head, container = MEDIA[name]
    assert sniff(head[:SNIFF_BYTES]) is container


@pytest.mark.parametrize("name", NOT_MEDIA)
def test_what_is_no_media_is_refused(name: str) -> None:
    """Playlists, pictures, documents and noise never reach ffmpeg."""
    assert sniff(NOT_MEDIA[name]) is None


@pytest.mark.parametrize("name", MEDIA)
def test_sniffing_survives_a_head_of_any_length(name: str) -> None:
    """A client may hang up after any byte. A tag with nothing behind it is taken for that of an MP3."""
    head, container = MEDIA[name]
    assert {sniff(head[:length]) for length in range(len(head))} <= {None, Container.MP3, container}


@pytest.mark.parametrize("seed", range(200))
def test_noise_is_no_media(seed: int) -> None:
    """Of any seed: sync words alone are in all of it."""
    assert sniff(Random(seed).randbytes(SNIFF_BYTES)) is None


@pytest.mark.parametrize("front", [b"\0" * 192, b"junk " * 60, b"TAG" + b"\0" * 125, b"\0" * 60_000])
@pytest.mark.parametrize(
    ("frame", "container"), [(MP3_FRAME, Container.MP3), (ADTS_FRAME, Container.AAC), (AC3_FRAME, Container.AC3)]
)
def test_frames_behind_junk_are_found(front: bytes, frame: bytes, container: Container) -> None:
    """Four in a row, of one kind, tell that they are some."""
    assert find(front + frame * 4 + b"noise") == Extent(container, len(front))
    assert find(front + frame * 3 + b"noise") is None


@pytest.mark.parametrize("front", [b"\0" * 2_000, b"\0" * 30_000, Random(1).randbytes(5_000), b"-" * 100])
def test_packets_behind_junk_are_found(front: bytes) -> None:
    """Also where some of them are damaged."""
    packets = TS_PACKET * 6 + b"\0" * 188 + TS_PACKET * 6
    assert sniff(front + packets) is Container.MPEG_TS


def test_what_comes_behind_the_front_does_not_matter() -> None:
    """Who has read more has not to cut it off."""
    assert find(bytes(SNIFF_BYTES) + MP3_FRAME * 10) is None


@pytest.mark.parametrize("size", [0x14, 0x80])
def test_a_tag_of_ape_may_stand_in_front(size: int) -> None:
    """Some writers put it there, with or without an ID3 tag before it."""
    ape = b"APETAGEX\xd0\7\0\0" + size.to_bytes(4, "little") + b"\1\0\0\0\0\0\0\xa0" + bytes(8) + b"x" * size
    assert find(ape + MP3_FRAME * 3) == Extent(Container.MP3, len(ape))
    assert find(ape + MEDIA["WAV"][0]) == Extent(Container.WAV, len(ape))
    assert find(b"ID3\x03\0\0\0\0\0\x0a" + bytes(10) + ape + MP3_FRAME * 3) == Extent(Container.MP3)
