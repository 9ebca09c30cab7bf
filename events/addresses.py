"""Where functions are reached: the bridge posts events there, and the clock makes its calls."""

from urllib.parse import urlsplit

from events.catalogue import Function
from serving.environment import SHOWN, Environment


def url(function: Function, env: Environment) -> str:
    """The function's own <TARGET>_URL or, where that is not set, FUNCTION_URL with `{name}` replaced by its name.

    What is no URL that starts with http:// or https:// is rejected in `env`, and returned all the same.
    """
    setting = f"{function.target.upper()}_URL"
    address = env.text(setting, env.text("FUNCTION_URL", "http://{name}:8080").replace("{name}", function.name))
    if not _is_http(address):
        env.reject(f"{setting} or FUNCTION_URL must be a URL that starts with http(s)://, not {address[:SHOWN]!r}")
    return address


def _is_http(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
