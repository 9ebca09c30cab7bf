"""Languages, which containers name by two letters or by one of two codes of three (ISO 639-1, 639-2/T and 639-2/B)."""

# The languages for which containers are seen with more than one code. Any other has the code that it has.
_SAME = (
    *("ar ara", "be bel", "bg bul", "bn ben", "bs bos", "ca cat", "cs ces cze", "cy cym wel", "da dan", "de deu ger"),
    *("el ell gre", "en eng", "es spa", "et est", "eu eus baq", "fa fas per", "fi fin", "fr fra fre", "ga gle"),
    *("gl glg", "he heb iw", "hi hin", "hr hrv scr", "hu hun", "hy hye arm", "id ind in", "is isl ice", "it ita"),
    *("ja jpn", "ka kat geo", "ko kor", "lt lit", "lv lav", "mk mkd mac", "ms msa may", "my mya bur", "nb nob"),
    *("nl nld dut", "nn nno", "no nor", "pl pol", "pt por", "ro ron rum mo mol", "ru rus", "sk slk slo", "sl slv"),
    *("sq sqi alb", "sr srp scc", "sv swe", "ta tam", "te tel", "th tha", "tl tgl", "tr tur", "uk ukr", "ur urd"),
    *("vi vie", "zh zho chi"),
)
_CODES = {code: frozenset(line.split()) for line in _SAME for code in line.split()}


def codes(tag: str | None, *, base: bool = False) -> frozenset[str]:
    """Every way to write a language, in small letters; with `base` without its region (RFC 4647, 3.4)."""
    first, *rest = (tag or "").lower().replace("_", "-").split("-")
    ways = _CODES.get(first, frozenset(filter(None, [first])))
    return ways if base or not rest else frozenset("-".join([way, *rest]) for way in ways)
