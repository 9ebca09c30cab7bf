"""Attacks are tried on the same servers and functions as everything else."""

from tests.functions.conftest import (  # noqa: F401 -- fixtures
    ada,
    add,
    environ,
    eve,
    finish,
    jobs,
    links,
    mp3s,
    mp3s_uri,
    person,
    postgres,
    served,
    session_sink,
    sink,
    videos,
    videos_uri,
)
