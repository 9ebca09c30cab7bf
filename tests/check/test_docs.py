"""What README.md and docs/ claim is held against the code: a table that drifts is a failing test."""

import ast
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from prometheus_client import generate_latest

import events.bridge.metrics  # noqa: F401 -- registers what the bridge counts
from events import catalogue, contract
from events.bridge.settings import Settings as BridgeSettings
from functions.model import errors
from functions.model.audio import Audio, Loudness, Note, Part
from functions.model.containers import Container
from functions.model.encoding import ENCODINGS, Meaning, Quality
from functions.model.jobs import Job, JobCount, State
from functions.model.media import Reason
from functions.model.notifications import NotificationCount
from functions.model.options import OneOf, Options
from functions.model.source import Chapter, Source, Track
from functions.runtime import metrics
from functions.runtime.settings import SECRETS, Settings

ROOT = Path(__file__).parents[2]
PAGES = {
    path.name: path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(ROOT.glob("docs/*.md")))
}
README, API, SETTINGS = PAGES["README.md"], PAGES["api.md"], PAGES["settings.md"]
OPERATIONS, ORIGINAL = PAGES["operations.md"], PAGES["from-the-original.md"]
DOCUMENTS = "\n".join(PAGES.values())
LINKING = {path: path.read_text(encoding="utf-8") for path in (*ROOT.glob("*.md"), *ROOT.glob("*/*.md"))}
FUNCTIONS = catalogue.load()
CODE = ("functions", "events", "serving", "emulator", "gateway")
GATEWAY = (ROOT / "gateway/nginx.conf.template").read_text(encoding="utf-8")
LOCATIONS = re.findall(r"location +(=?) *(/[a-z]*/?) +\{.*?set \$function_host \$\{(\w+)_ADDR\}", GATEWAY, re.DOTALL)
PLATFORM = ("/_/health", "/_/ready", "/_/stores", "/_/metrics")


class Asked(dict[str, str]):
    """An environment that notes which names are looked up in it."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return super().get(name, default)


def read_by_the_bridge() -> set[str]:
    """Every name that the bridge looks up when it starts."""
    environ = Asked({"AMQP_URL": "amqp://localhost/"})
    BridgeSettings.read(environ, FUNCTIONS)
    return environ.names


BRIDGE = read_by_the_bridge()


def table(heading: str, document: str) -> dict[str, list[str]]:
    """The cells of the first table below a heading, by their row's first cell without backticks."""
    return {cells[0].strip(" `"): cells[1:] for cells in rows(heading, document)}


def rows(heading: str, document: str) -> list[list[str]]:
    """The cells of the first table below a heading of any level."""
    below = re.split(rf"^#+ {re.escape(heading)}$", document, maxsplit=1, flags=re.MULTILINE)[1]
    found = re.search(r"^(?:\|.*\n)+", below.partition("\n## ")[0], re.MULTILINE)
    return [re.split(r"\s*\|\s*", line)[1:-1] for line in found[0].splitlines()][2:] if found else []


def settings_of_functions() -> dict[str, list[str]]:
    """Default and meaning of each, by its name."""
    headings = (
        "Stores, secrets and addresses", "Work and its limits", "How long things are kept", "Accounts and emails",
    )  # fmt: skip
    return {name: cells for heading in headings for name, cells in table(heading, SETTINGS).items()}


def settings_tables() -> dict[str, list[str]]:
    """Every row of docs/settings.md that is one of a variable or of several."""
    found: dict[str, list[str]] = {}
    for line in SETTINGS.splitlines():
        if line.startswith("| `") and not line.startswith("| `make run`"):
            names, *cells = re.split(r"\s*\|\s*", line)[1:-1]
            found |= dict.fromkeys(quoted(names), cells)
    return found


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def routes() -> set[tuple[str, str]]:
    """Method and path of everything that the gateway passes on, as the functions declare it."""
    return {
        (method, path)
        for function in FUNCTIONS
        if function.path
        for address, methods in declared(function.target).items()
        if is_passed_on(path := f"{function.path.rstrip('/')}{address.rstrip('/')}" or "/", function.target)
        for method in methods
    }


def is_passed_on(path: str, target: str) -> bool:
    """Whether the gateway gives that path to that function."""
    return any(
        path == location if exactly else path.startswith(location)
        for exactly, location, owner in LOCATIONS
        if owner == target.upper()
    )


def declared(target: str) -> dict[str, tuple[str, ...]]:
    """Methods by address below a function's root: the arguments of its @web.serves."""
    tree = ast.parse((ROOT / "functions" / target / "main.py").read_text(encoding="utf-8"))
    constants = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    [served] = [
        decorator
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name == target
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call)
    ]
    below = next(
        (keyword.value for keyword in served.keywords if keyword.arg == "below"), ast.parse("{}", mode="eval").body
    )
    if ast.unparse(below).startswith("dict.fromkeys(FILES"):  # the page for people
        below = ast.parse(repr(dict.fromkeys(page_files(), ("GET",))), mode="eval").body
    below = constants[below.id] if isinstance(below, ast.Name) else below
    return {"/": tuple(ast.literal_eval(each) for each in served.args), **ast.literal_eval(below)}


def page_files() -> list[str]:
    """The addresses of what ui serves: what lies beside its main.py."""
    return [f"/{path.name}" for path in (ROOT / "functions/ui").iterdir() if path.suffix in (".css", ".js", ".svg")]


def test_the_readme_can_be_read_at_one_sitting() -> None:
    """What is it, two commands, a sample answer, when not, where next: more than that belongs into docs/."""
    assert len(README.splitlines()) <= 120
    assert len(README.split()) <= 800


def test_every_function_of_the_catalogue_stands_in_the_api_in_the_same_order() -> None:
    """The table of functions is the catalogue's."""
    assert list(table("The functions", API)) == [function.name for function in FUNCTIONS]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_a_functions_row_says_what_the_catalogue_says(function: catalogue.Function) -> None:
    """Trigger, path, limits and memory are those that every platform is given."""
    trigger, path, _, limit, at_once, memory = table("The functions", API)[function.name]
    assert quoted(trigger) == [*function.events, *([function.schedule] if function.schedule else [])]
    assert path == (f"`{function.path}`" if function.path else "–")
    assert (limit, at_once, memory) == (f"{function.timeout} s", str(function.concurrency), function.memory)


def test_every_route_of_every_function_has_its_heading_in_the_api_and_no_other() -> None:
    """With each of its methods; HEAD is said once for all of them."""
    headings = re.findall(r"^### `([A-Z]+) (/\S*)`$", API, re.MULTILINE)
    assert len(headings) == len(set(headings))
    assert set(headings) == routes()


@pytest.mark.parametrize(
    ("target", "heading"), [("upload", "`POST /upload`"), ("jobs", "`GET /jobs`"), ("download", "`GET /download`")]
)
def test_every_query_parameter_that_a_function_reads_is_told(target: str, heading: str) -> None:
    """An upload's options among them."""
    tree = ast.parse((ROOT / "functions" / target / "main.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "web.query"]
    read = {each.value for call in calls for each in call.args if isinstance(each, ast.Constant)}
    assert {cells[0].strip("`") for cells in rows(heading, API)} == read


def test_every_option_is_told_with_the_words_that_it_takes() -> None:
    """Its default first, and everything else that it takes by name."""
    told = {name: cells[1] for cells in rows("Options", API) for name in quoted(cells[0])}
    assert list(told) == [option.name for option in fields(Options)]
    for option in fields(Options):
        if isinstance(option.metadata["kind"], OneOf):
            words = [str(word) for word in option.metadata["kind"].words]
            assert quoted(told[option.name]) == sorted(words, key=lambda word: word != option.default)


def test_what_a_quality_means_in_each_format_is_told() -> None:
    """As the encodings have it."""
    below = API.partition("\n| quality | MP3 | M4A, Opus | FLAC, WAV |\n")[2].partition("\n\n")[0].splitlines()[1:]
    told = {cells[0].strip("`"): cells[1:] for cells in (re.split(r"\s*\|\s*", line)[1:-1] for line in below)}
    assert list(told) == list(Quality)
    for quality in Quality:
        mp3, m4a, opus, flac, wav = (spoken(ENCODINGS[name].meanings[quality]) for name in ENCODINGS)
        assert (m4a, flac) == (opus, wav)
        assert [cell.replace(", or `MP3_QUALITY`", "") for cell in told[quality]] == [mp3, m4a, flac]


def spoken(meaning: Meaning) -> str:
    size = f"{meaning.bitrate} kbit/s" if meaning.bitrate else "lossless" if meaning.vbr is None else f"V{meaning.vbr}"
    return f"{size}, mono" if meaning.mono else size


ADA = UUID(int=7)
NOW = datetime(2026, 11, 26, tzinfo=UTC)


def job(state: State, **changes: Any) -> Job:
    """One of which everything is known that can be."""
    track = Track(1, "eng", "Commentary", "aac", 2, "stereo", 48_000, default=True)
    parts = (Part("One", "01 One.mp3", 0, 5, 1.0),)
    facts = Audio(1.0, 190, 2, 48_000, 1, loudness=Loudness(-20.0, -3.0, -16.0, -1.5), parts=parts, notes=tuple(Note))
    columns: dict[str, Any] = dict.fromkeys(Job.__dataclass_fields__) | {
        "id": ADA, "owner": ADA, "fid": ADA, "video": ADA, "audio": ADA, "filename": "video.mp4", "container": "mov",
        "video_size": 10, "video_sha256": "0" * 64, "options": Options(), "state": state, "progress": 0.5,
        "source": Source(1.0, (track,), (Chapter(0.0, 1.0, "One"),)), "facts": facts, "audio_size": 5, "duration": 1.0,
        "created_at": NOW, "queued_at": NOW, "started_at": NOW, "finished_at": NOW,
        "reason": "no_audio" if state is State.FAILED else None,
    }  # fmt: skip
    return Job(**columns | changes)


def members(value: Any, path: str = "") -> Iterator[str]:
    """The path of everything in a document that has nothing below it; the options are told elsewhere."""
    if isinstance(value, dict) and path != "options":
        for name, below in value.items():
            yield from members(below, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for each in value:
            yield from members(each, f"{path}[]")
    else:
        yield path


def test_every_member_of_a_job_is_told_and_no_other() -> None:
    """In whatever state it is: everything that its document can have stands in the table, in its order."""
    documents = [job(state).public() for state in State]
    shown = {member for document in documents for member in members(document)} - {"audio", "error"}
    told = table("The job", API)
    assert set(told) == shown
    whole = list(members(job(State.DONE, reason="no_audio").public()))
    assert [member for member in told if member in whole] == list(dict.fromkeys(whole))


def test_the_sample_of_a_job_has_every_member_of_one_that_is_done() -> None:
    """As many as such a job has that was not split, of a video without chapters."""
    [sample] = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", API, re.DOTALL) if '"links"' in text]
    facts = replace(job(State.DONE).facts or Audio(0, 0, 0, 0, 0), parts=(), notes=())
    real = job(State.DONE, facts=facts).public()
    real["source"]["chapters"] = []
    assert list(members(sample)) == list(members(real))
    assert sample["options"] == Options().as_json()


def test_every_container_and_every_note_is_listed() -> None:
    """Clients match on these words."""
    listed = API.partition("one of these containers:")[2].partition("\n\n")[0]
    assert quoted(listed) == [container.word for container in Container]
    notes = dict(
        re.findall(r"^\| `(\w+)` \| ([^|]+) \|$", API.partition("| note |")[2].partition("\n\n")[0], re.MULTILINE)
    )
    assert list(notes) == list(Note)


def test_every_file_of_convert_has_its_place_in_the_map() -> None:
    """Once, under the question that it answers."""
    table = PAGES["architecture.md"].partition("| files of `functions/convert/` |")[2].partition("\n\n")[0]
    files = {path.stem for path in (ROOT / "functions/convert").rglob("*.py")} - {"__init__", "main"}
    assert sorted(quoted(table)) == sorted(files)


def test_every_problem_is_listed_with_its_status() -> None:
    """Programs match on its type."""
    real = {(kind.slug, kind.status) for kind in subclasses(errors.Problem)} | {("internal", 500)}
    listed = {(name, int(cells[0])) for name, cells in table("Errors", API).items()}
    assert listed == real


def subclasses(kind: type[errors.Problem]) -> Iterator[type[errors.Problem]]:
    """Those of the model, with what derives from them; a function's own are told by the function."""
    for each in kind.__subclasses__():
        if each.__module__ == errors.__name__:
            yield each
            yield from subclasses(each)


def test_every_event_says_who_takes_it_and_what_its_data_are() -> None:
    """As template.yml and the schemas have it."""
    for name, (data, _, to) in table("Events", API).items():
        schema = json.loads((ROOT / "events/schemas" / f"{name}.json").read_text(encoding="utf-8"))
        assert set(quoted(data)) == set(schema["properties"])
        assert to == ", ".join(function.name for function in FUNCTIONS if name in function.events)
    assert list(table("Events", API)) == list(contract.TYPES)


def test_every_setting_is_documented_with_its_default() -> None:
    """A setting that nobody can look up does not exist."""
    said = {name: cells[0].replace("–", "") for name, cells in settings_of_functions().items()}
    real = {field.name.upper(): str(field.default).replace("False", "false") for field in fields(Settings)}
    assert said == real


def test_no_setting_is_documented_that_nobody_reads() -> None:
    """Functions, the bridge, the clock, the gateway, docker compose and the emulator; nothing else reads one."""
    readers = [*ROOT.glob("emulator/**/*.py"), ROOT / "functions/runtime/gunicorn.conf.py", ROOT / "docker-compose.yml"]
    readers += [ROOT / "functions/runtime/settings.py", ROOT / "serving/environment.py", ROOT / "Makefile"]
    texts = "\n".join(path.read_text(encoding="utf-8") for path in readers if path.exists())
    known = {field.name.upper() for field in fields(Settings)} | BRIDGE | set(re.findall(r"[A-Z][A-Z0-9_]+", texts))
    known |= {f"{function.target.upper()}_URL" for function in FUNCTIONS if function.schedule}
    known |= {name.upper() for name in re.findall(r"^ {4}(\w+): (?:str|int)\b", texts, re.MULTILINE)}
    assert {name for name in settings_tables() if name not in known} == set()


def test_every_setting_of_the_bridge_is_documented_and_its_default_is_true() -> None:
    """Set to what the page says, the bridge is as it is with nothing set."""
    assert "BRIDGE_DELAYS" in BRIDGE
    said = settings_tables()
    assert BRIDGE - said.keys() == set()
    defaults = {name: cells[0].strip("`") for name, cells in table("The bridge", SETTINGS).items()}
    written = {name: value for name, value in defaults.items() if name in BRIDGE and value not in ("", "–")}
    assert written.keys() >= {"BRIDGE_DELAYS", "BRIDGE_RETRIES", "BRIDGE_GRACE", "VIDEO_QUEUE", "FUNCTION_URL"}
    broker = {"AMQP_URL": "amqp://localhost/"}
    assert BridgeSettings.read(broker | written, FUNCTIONS) == BridgeSettings.read(broker, FUNCTIONS)


def test_everything_that_docker_compose_takes_from_its_environment_is_documented() -> None:
    """With the port or name that it has without."""
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    taken = dict(re.findall(r"\$\{([A-Z0-9_]+):-([^}$]*)\}", compose))
    assert taken.keys() > {"MAILPIT_PORT", "MP3_QUALITY", "STORES_INTERNAL"}
    assert {name for name in taken if name not in settings_tables()} == set()
    for cells in rows("docker compose", SETTINGS):
        assert [taken[name] for name in quoted(cells[0])] == cells[1].split(", ")


def test_every_secret_is_marked_as_one() -> None:
    """Which settings may come from a file is said where they are listed."""
    marked = {name.lower() for name, cells in settings_tables().items() if "*secret*" in cells[1]}
    assert marked == {*SECRETS, "amqp_url"}


def test_every_reason_of_failure_is_listed() -> None:
    """Clients match on these words."""
    listed = API.partition("one of these reasons:")[2].partition("\n\n")[0]
    assert set(quoted(listed)) == set(Reason)


def test_every_metric_is_listed() -> None:
    """Of the functions and of the bridge; what a dashboard asks for and is never told looks like a quiet system."""
    metrics.count_request("ui", 200)
    metrics.count_bytes("in", 1)
    metrics.count_failure("no_audio")
    metrics.count_no_room()
    metrics.count_parallel("joined")
    metrics.observe_conversion(1, 60)
    page = metrics.page(lambda: ([JobCount(State.QUEUED, 1, 1, 1.0)], [NotificationCount("owed", 1)]))
    kinds = re.findall(r"^# TYPE ((?:videotomp3|bridge)_\w+) (\w+)", (page + generate_latest()).decode(), re.MULTILINE)
    assert {name for name, _ in kinds if not name.endswith("_created")} == set(table("Metrics", OPERATIONS))


def test_every_make_target_the_documents_name_exists() -> None:
    """`make help` and the documents speak of the same targets."""
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, encoding="utf-8", check=True).stdout
    for target in set(re.findall(r"(?:`|\$ )make ([a-z][a-z-]*)", DOCUMENTS)):
        assert re.search(rf"\bmake {target}\b", listed), f"make {target} is not in make help"


@pytest.mark.parametrize("file", [".github/workflows/ci.yml", ".devcontainer/devcontainer.json", ".ci/run"])
def test_what_others_run_is_a_target_of_the_makefile(file: str) -> None:
    """A machine that has nothing but the checkout runs these lines; none of us sees them fail."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    rules = re.findall(r"^([a-z.][\w./ -]*):(?!=)", makefile, re.MULTILINE)
    targets = {target for rule in rules for target in rule.split()}
    called = re.findall(r"\bmake ([a-z.][\w./-]*)", commands(file))
    assert called
    assert set(called) <= targets


def commands(file: str) -> str:
    """What it has run, without its comments and lists of packages."""
    text = (ROOT / file).read_text(encoding="utf-8")
    if file.endswith(".json"):
        text = json.loads(text)["postCreateCommand"]
    elif file.endswith(".yml"):
        jobs = yaml.safe_load(text)["jobs"].values()
        text = "\n".join(step.get("run", "") for job in jobs for step in job["steps"] if "apt-get" not in str(step))
    return "\n".join(line for line in text.splitlines() if not line.startswith("#"))


def test_the_workflow_may_only_read() -> None:
    """Whatever a pull request runs there cannot write to the repository."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    assert [name for name, job in workflow["jobs"].items() if "permissions" in job] == []


@pytest.mark.parametrize("document", LINKING, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    """To a file that is there, and to a heading that it has."""
    for path, _, anchor in (link.partition("#") for link in re.findall(r"\]\(([^):\s]+)\)", LINKING[document])):
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


def anchors(document: Path) -> set[str]:
    """The names that GitHub gives to a document's headings."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_of_docs_is_reached_from_the_readme() -> None:
    """A page that nothing leads to is read by nobody."""
    linked = set(re.findall(r"\]\((docs/\w[\w-]*\.md)", README))
    assert linked == {str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md")}


def test_the_readme_shows_the_page() -> None:
    """In a picture that whoever cannot see it is told about, and that loads at once."""
    [(told, picture)] = re.findall(r"!\[([^]]+)\]\(([^)]+)\)", README)
    assert len(told.split()) > 10
    assert (ROOT / picture).read_bytes().startswith(b"\x89PNG")
    assert (ROOT / picture).stat().st_size <= 150_000


def test_every_path_the_documents_name_exists() -> None:
    """A reader who follows a path arrives."""
    rooms = "functions|events|serving|emulator|gateway|k8s|docs|requirements|tests"
    named = re.findall(rf"`((?:{rooms})/[\w./-]+)`", DOCUMENTS)
    assert len(named) > 50
    for path in named:
        assert (ROOT / path).exists(), path


def test_every_door_the_documents_name_opens() -> None:
    """With that method, at that path, by the function that has it."""
    doors = set(re.findall(r"`(GET|HEAD|POST|PATCH|PUT|DELETE) (/[^`?]*)(?:\?[^`]*)?`", DOCUMENTS))
    assert doors >= {("POST", "/register"), ("PATCH", "/account"), ("POST", "/jobs/<id>/retry"), ("GET", "/")}
    # What a function has at its own root, and the gateway does not pass on.
    inside = {("GET", path) for path in PLATFORM} | {("GET", "/<id>"), ("POST", "/")}
    assert doors - inside <= routes()


def test_every_standard_that_the_code_cites_is_among_the_facts() -> None:
    """With its number, so that who reads a comment finds what we take from it."""
    paths = [path for part in CODE for path in (ROOT / part).rglob("*") if path.suffix in (".py", ".sql", ".template")]
    cited = {number for path in paths for number in re.findall(r"RFC (\d+)", path.read_text(encoding="utf-8"))}
    assert len(cited) > 10
    assert cited == {name.removeprefix("RFC ") for name in table("Standards", PAGES["facts.md"]) if "RFC" in name}


def test_every_word_of_the_glossary_is_a_word_of_the_code() -> None:
    """A word that only the glossary uses explains nothing."""
    paths = [path for part in CODE for path in (ROOT / part).rglob("*") if path.suffix in (".py", ".sql")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in paths).lower()
    words = list(table("Glossary", PAGES["glossary.md"]))
    assert len(words) > 20
    forms = {word: re.escape(word.removesuffix("y")).replace(r"\ ", "[-_ ]") for word in words}
    assert [
        word for word, form in forms.items() if not re.search(rf"(?<![a-z]){form}(?:y|s|ies)?(?![a-z])", code)
    ] == []


def test_it_is_a_video_everywhere() -> None:
    """One word for one thing; the changelog alone may call it what it was called."""
    texts = (".html", ".in", ".js", ".json", ".md", ".py", ".sh", ".sql", ".template", ".toml", ".txt", ".yaml", ".yml")
    places = (*CODE, "tests", "k8s", "docs", "requirements", ".github", ".devcontainer")
    paths = [*ROOT.glob("*"), *(path for place in places for path in (ROOT / place).rglob("*"))]
    read = [path for path in paths if path.suffix in texts or path.name in ("Makefile", "Dockerfile")]
    assert len(read) > 200
    said = re.compile(r"\bfilms?\b", re.IGNORECASE)
    assert [p for p in read if said.search(p.read_text(encoding="utf-8")) and p.name != "CHANGELOG.md"] == []


ORIGINAL_DOORS = ["POST /register", "POST /login", "POST /validate", "POST /upload", "GET /download?fid="]


def test_every_door_of_the_original_has_its_row_and_the_function_that_answers_it() -> None:
    """What stood there stands here, and the file is that function's."""
    doors = table("Doors", ORIGINAL)
    assert [door for door in doors if door] == ORIGINAL_DOORS
    for cells in rows("Doors", ORIGINAL):
        paths = {re.split(r"[ ?]", door)[1] for door in quoted(cells[1])}
        assert len(paths) == 1, cells
        [function] = [function for function in FUNCTIONS if function.path in paths]
        assert quoted(cells[2]) == [f"functions/{function.target}/main.py"]


def test_every_setting_of_the_original_has_its_row_and_what_is_set_in_its_place() -> None:
    """The seven of its README keep their names; what the others became is a setting of ours."""
    said = table("Settings", ORIGINAL)
    kept = ("JWT_SECRET", "DATABASE_URL", "MONGO_URI", "MONGO_MP3_URI", "AUTH_SVC_ADDR", "VIDEO_QUEUE", "MP3_QUEUE")
    assert {name: said[name][0] for name in kept} == {name: f"`{name}`" for name in kept}
    ours = {field.name.upper() for field in fields(Settings)} | BRIDGE
    below = ORIGINAL.partition("Not in the original, and needed here:")[2].partition("\n\n")[0]
    named = {name for cells in said.values() for name in quoted(cells[0])}
    assert named | set(re.findall(r"`([A-Z_]+)`", below)) <= ours


def test_every_file_of_the_original_has_its_row_and_where_it_went() -> None:
    """Each part, and nothing that is not there."""
    files = rows("Files", ORIGINAL)
    assert {path.split("/")[1] for cells in files for path in quoted(cells[0]) if path.startswith("src/")} == {
        *("auth", "gateway", "converter", "notification", "rabbit", "*")
    }
    for cells in files:
        assert quoted(cells[1]), cells
        for path in quoted(cells[1]):
            assert (ROOT / path).exists(), path
