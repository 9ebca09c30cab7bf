"""Which settings of our environment reach which parts. Nothing else of it does."""

from collections.abc import Iterable, Mapping

STORES = ("AMQP_URL", "DATABASE_URL", "MONGO_URI", "MONGO_MP3_URI")  # servers to use instead of our own
FOR_ALL = ("LOG_LEVEL", "COVERAGE_PROCESS_CONFIG")
FOR_FUNCTIONS = (
    *("PUBLIC_URL", "AUTH_SVC_ADDR", "TOKEN_SECONDS", "LINK_SECONDS", "LOGIN_FREE_ATTEMPTS", "MAX_UPLOAD_BYTES"),
    *(
        "MAX_DURATION_SECONDS",
        "MAX_AUDIO_BYTES",
        "CONVERT_CORES",
        "CONVERT_DISK_BYTES",
        "CONVERT_SECONDS",
        "REQUIRE_JAIL",
    ),
    *(
        "MP3_QUALITY",
        "LEASE_SECONDS",
        "MAX_TRIES",
        "MAIL_FROM",
        "MAILS_PER_HOUR",
        "NOTIFY_GIVE_UP_SECONDS",
        "SOURCE_SECONDS",
    ),
    *(
        "RESULT_SECONDS",
        "UPLOAD_SECONDS",
        "TRANSFER_SECONDS",
        "TRANSFERS_PER_USER",
        "ORPHAN_SECONDS",
        "ORPHAN_PASS_SECONDS",
    ),
    "SWEEP_UNTIL",
)
FOR_BRIDGE = ("VIDEO_QUEUE", "MP3_QUEUE", "EVENTS_EXCHANGE", "BRIDGE_DELAYS", "BRIDGE_RETRIES", "BRIDGE_GRACE")


def choose(environ: Mapping[str, str], *names: Iterable[str]) -> dict[str, str]:
    """Those of the named settings that are set; an empty one counts as not set."""
    return {name: environ[name] for group in names for name in group if environ.get(name)}
