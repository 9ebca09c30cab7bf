"""What the bridge is told by its environment."""

from pathlib import Path

import pytest

from emulator.ports import reserve_port
from events.bridge.settings import Settings
from events.catalogue import load
from serving.environment import SettingsError
from tests.events.harness import Harness, run, uploaded
from tests.waiting import until


def test_routes_come_from_the_catalogue() -> None:
    """A function per route: its queue, its URL by the template, its limits; dead letters end parked."""
    settings = Settings.read(
        {"AMQP_URL": "amqp://localhost/", "FUNCTION_URL": "http://gateway/function/{name}"}, load()
    )
    routes = {route.function: route for route in settings.routes}
    assert set(routes) == {"convert", "notify", "dead-letter"}
    assert (routes["convert"].queue, routes["notify"].queue) == ("video", "mp3")
    assert routes["dead-letter"].url == "http://gateway/function/dead-letter"
    assert routes["convert"].dead_letter_queue == "events.dead"
    assert routes["dead-letter"].dead_letter_queue == "events.parked"
    assert settings.grace > routes["convert"].timeout


def test_the_environment_overrides_the_catalogue() -> None:
    """URL, parallelism and queue of one function."""
    env = {"AMQP_URL": "amqp://localhost/", "CONVERT_URL": "http://elsewhere", "CONVERT_PARALLELISM": "7"}
    settings = Settings.read(env | {"VIDEO_QUEUE": "videos"}, load())
    convert = next(route for route in settings.routes if route.function == "convert")
    assert (convert.url, convert.parallelism, convert.queue) == ("http://elsewhere", 7, "videos")
    assert "videos" in settings.topology.work


def test_the_broker_may_come_from_a_file(tmp_path: Path) -> None:
    """That is how OpenFaaS and Kubernetes hand out secrets."""
    (tmp_path / "amqp-url").write_text("amqp://from-a-file/\n", encoding="utf-8")
    assert Settings.read({"SECRETS_DIR": str(tmp_path)}, load()).amqp_url == "amqp://from-a-file/"


def test_the_bridge_says_no_more_than_log_level_asks_for(harness: Harness) -> None:
    """Every process of ours obeys it; the line about an event that was taken has the level INFO."""
    loud, quiet = harness.bridge().ready(), harness.bridge(LOG_LEVEL="WARNING").ready()
    for bridge in (loud, quiet):
        assert bridge.post(uploaded()).status_code == 202
    until(lambda: any(line["message"] == "event taken" for line in loud.lines()))
    assert [line for line in quiet.lines() if line["level"] == "info"] == []


def test_everything_wrong_is_named_at_once(tmp_path: Path) -> None:
    """One start names all mistakes, not one mistake for each start."""
    env = {"SECRETS_DIR": str(tmp_path), "PORT": "http", "NOTIFY_URL": "notify:8080", "BRIDGE_DELAYS": "1 soon"}
    env |= {"LOG_LEVEL": "loud", "BRIDGE_RETRIES": "-1", "CONVERT_PARALLELISM": "two"}
    with pytest.raises(SettingsError) as caught:
        Settings.read(env, load())
    for name in ("AMQP_URL", "PORT", "NOTIFY_URL", "BRIDGE_DELAYS", "LOG_LEVEL", "BRIDGE_RETRIES", "CONVERT_P"):
        assert name in str(caught.value)


@pytest.mark.parametrize("delays", ["soon", "0 1", "-1", "inf", "nan", "1 nan 2"])
def test_a_delay_is_a_time_that_ends(delays: str) -> None:
    """It becomes the time to live of a queue."""
    with pytest.raises(SettingsError, match="BRIDGE_DELAYS must be seconds such as"):
        Settings.read({"AMQP_URL": "amqp://localhost/", "BRIDGE_DELAYS": delays}, load())


@pytest.mark.parametrize("url", ["localhost:5672", "http://localhost/", "amqp://me:s3cret@host:port/"])
def test_a_wrong_broker_is_refused_and_its_password_kept(url: str) -> None:
    """The address may hold a password, so the message shows an example instead."""
    with pytest.raises(SettingsError, match="AMQP_URL must look like") as caught:
        Settings.read({"AMQP_URL": url}, load())
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "env", "says"),
    [
        ([], {"AMQP_URL": "", "SECRETS_DIR": "nowhere"}, "AMQP_URL is not set"),
        (["replay"], {"AMQP_URL": f"amqp://127.0.0.1:{reserve_port()}/"}, "see that it runs"),
        (["reply"], {"AMQP_URL": "amqp://127.0.0.1/"}, "use: python -m events.bridge"),
    ],
)
def test_a_start_that_cannot_work_says_why(arguments: list[str], env: dict[str, str], says: str) -> None:
    """One line and exit code 1, not a trace."""
    ended = run(env, *arguments)
    assert ended.returncode == 1
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr
