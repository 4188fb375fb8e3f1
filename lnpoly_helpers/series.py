"""What the notebooks share: their texts, results in files that the next run is compared with, published numbers."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ._words import count

_RELATIVE, _ABSOLUTE = 1e-6, 1e-9  # networks run in float64: machines differ in the 15th digit or so


def data_folder():
    """Where the embedded models and the prompts lie: inside the installed package, or beside it in a clone."""
    installed = Path(__file__).resolve().parent / "data"
    return installed if installed.is_dir() else installed.parent.parent / "data"


def read_data(path):
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileNotFoundError(
            f"{path}: expected a file that comes with lnpoly_helpers, got {error.strerror or error}. "
            f"Install the package again, or restore data/ in your clone with git."
        ) from None


def read_json(path):
    """What a JSON file that comes with the package says: an object."""
    try:
        found = json.loads(read_data(path))
    except ValueError as error:
        found = error
    if not isinstance(found, dict):
        raise ValueError(
            f"{path}: expected a file in JSON that comes with lnpoly_helpers, got a damaged one"
            f"{f' ({found})' if isinstance(found, ValueError) else ''}. "
            f"Install the package again, or restore data/ in your clone with git."
        )
    return found


def prompts() -> list[str]:
    """The texts on which the notebooks take statistics (``data/prompts.txt``).

    Returns
    -------
    list of str

    Raises
    ------
    FileNotFoundError
        The file that comes with the package is gone.

    See Also
    --------
    residuals, context_windows : what takes such a list.

    Examples
    --------
    >>> len(prompts()) > 50 and all(text.strip() for text in prompts())
    True
    """
    return read_data(data_folder() / "prompts.txt").decode().strip().split("\n\n")


def published() -> dict[str, Any]:
    """GPT-2 small's published residual standard deviations: layers, values and their source.

    Returns
    -------
    dict
        ``layers``, ``later positions`` and ``position 0`` (lists of the same length), ``what`` and ``source``.

    Raises
    ------
    FileNotFoundError
        The file that comes with the package is gone.

    See Also
    --------
    residuals : the vectors whose standard deviations these are.

    Examples
    --------
    >>> numbers = published()
    >>> dict(zip(numbers["layers"], numbers["later positions"], strict=True))[0]
    1.21
    """
    return read_json(data_folder() / "published" / "gpt2_residual_std.json")


def published_neurons(network: str = "stanford-gpt2-small-a") -> dict[str, Any]:
    """What the boundaries of real GPT-2s look like, by layer, from published lengths, biases and on-rates of neurons.

    Parameters
    ----------
    network : str
        "stanford-gpt2-small-a" or "stanford-gpt2-medium-a", of OpenAI's shapes and recipe, trained anew by Stanford;
        or "pythia-160m". Other weights than OpenAI's, so none of them is to be called GPT-2.

    Returns
    -------
    dict
        ``layers`` and ``together``, all layers as one. Each has ``neurons``, their number; ``misses``, how many
        boundaries miss the sphere; ``highest``, the largest |height|; ``circles``, the mean share of the θ/π law
        on random great circles (`expected_crossings`); and ``mean`` and ``quartiles`` of four figures: ``height``
        (`boundary_height`), "cap_share" (`cap_share`), ``on``, the share of text on which the neuron is on, and
        ``rice``, what Rice's formula makes of that (`rice_factor`). In ``layers`` they are float64 [n_layers],
        quartiles [3, n_layers]; in ``together`` numbers, quartiles [3].
        Also ``d_model``, ``d_mlp``, ``sha256`` of the table, ``network``, ``what``, ``source``, ``licence``, ``sample``
        and ``command``.

    Raises
    ------
    ValueError
        The network is another.
    FileNotFoundError
        The file that comes with the package is gone.

    Notes
    -----
    The neurons are no random sample: 1,533 of 36,864 in GPT-2 small's shape, those that five training seeds share, and
    they are on in less text than the others. Rounded to four digits. Gurnee et al. 2024, arXiv:2401.12181.

    See Also
    --------
    boundary_height, cap_share, rice_factor, meets_sphere : the figures, of any layer.
    published : residual standard deviations of GPT-2 small.

    Examples
    --------
    >>> found = published_neurons()
    >>> found["together"]["neurons"], found["together"]["misses"], found["layers"]["quartiles"]["height"].shape
    (1533, 0, (3, 12))
    """
    found = read_json(data_folder() / "published" / "neurons.json")
    networks = found.pop("networks")
    if network not in networks:
        raise ValueError(f"network: expected one of {', '.join(networks)}, got {network!r}.")
    return found | {key: _arrays(value) if key == "layers" else value for key, value in networks[network].items()}


def _arrays(found) -> dict[str, Any]:
    return {k: _arrays(v) if isinstance(v, dict) else np.array(v, dtype=np.float64) for k, v in found.items()}


def seed_results(name: str, **which: Any) -> dict[str, Any]:
    """What `survey` found in networks that do not come with the package: other seeds, checkpoints, widths.

    Parameters
    ----------
    name : str
        "nano-ln-relu", "nano-ln-gelu", "nano-rms-relu" or "nano-none-relu": nine seeds of that design, the first the
        embedded model. "checkpoints": seeds at steps from 0, fresh weights, to the end. "widths": nano-ln-relu with 64
        and 256 in place of 128 dimensions. "ladder": single layers of larger networks, 64 to 768 dimensions. "minilm",
        "smollm2-4bit": layers of these networks.
    **which
        Only the networks of which this is known, such as ``activation="relu", d_model=768``.

    Returns
    -------
    dict
        ``networks``: a list of what is known of each, as ``seed``, ``step``, ``d_model``, ``held_back_loss`` (nats a
        byte) and the ``sha256`` of its weights.
        ``trained``, ``matched`` (`matched_layer`), ``W_out random`` (``matched_layer(..., keep="W_in")``) and, where
        they were measured, "untrained" (fresh weights): each a dict of the figures of `survey`, float64
        [network, layer], in the ladder [network], of a single network [layer]. ``settings`` and ``command``: how they
        were measured.

    Raises
    ------
    ValueError
        The name is another, or no network is one of these.
    FileNotFoundError
        The file that comes with the package is gone.

    Notes
    -----
    Rounded to four digits. The weights, in float16, are not kept; ``data/build.py`` and ``data/ladder.py`` train such
    networks again. To speak of a design, take the mean over layers first and then `mean_interval` over the seeds, which
    are independent.

    See Also
    --------
    survey : the figures.
    mean_interval : how sure nine seeds are.

    Examples
    --------
    >>> found = seed_results("nano-ln-relu")
    >>> found["trained"]["crossed_law"].shape, len(found["networks"])
    ((9, 4), 9)
    """
    found = _named("results/seeds", name, "name")
    about, networks = {key: found.pop(key) for key in ("command", "settings")}, found.pop("networks")
    chosen = [k for k, one in enumerate(networks) if which.items() <= one.items()]
    if not chosen:
        raise ValueError(f"which: expected what is known of a network in {name}, as {networks[0]}, got {which}.")
    rows = chosen if len(chosen) < len(networks) else slice(None)  # a single network's figures are by layer
    figures = {kind: {figure: values[rows] for figure, values in of.items()} for kind, of in _arrays(found).items()}
    return about | {"networks": [networks[k] for k in chosen]} | figures


def coverage() -> dict[str, dict[str, Any]]:
    """Which of some hundred tiny architectures the helpers read, what each forgets, and why others are refused.

    Returns
    -------
    dict
        Of each architecture its ``class``, ``kind`` ("causal", "all tokens", "encoder and decoder") and whether it is
        ``read``; where it is, ``norm``, ``place``, ``activation``, ``gated``, ``forgets_scale``, ``forgets_offset`` and
        ``affine_pieces``; where not, the ``words`` of `mlp_block`. ``make coverage`` measures it.

    Raises
    ------
    FileNotFoundError
        The file that comes with the package is gone.

    See Also
    --------
    mlp_block : what reads them.

    Examples
    --------
    >>> coverage()["Llama"]["norm"], coverage()["Llama"]["gated"]
    ('rmsnorm', True)
    """
    return read_json(data_folder() / "results" / "coverage.json")


def predictions(model: str = "gpt2") -> dict[str, Any]:
    """What was predicted of a network before anyone had measured it, with the rule that decides.

    Parameters
    ----------
    model : {"gpt2"}

    Returns
    -------
    dict
        ``model``, ``how`` it is to be measured, the ``rule``, and "predictions": a list, each with its ``claim``,
        ``figure`` of `survey`, ``of`` ("trained", "trained - matched" or "trained / matched"), the interval ``low`` to
        ``high`` for its mean over layers, and what it was predicted ``from``.

    Raises
    ------
    ValueError
        Nothing was predicted of that network.
    FileNotFoundError
        The file that comes with the package is gone.

    See Also
    --------
    compare_predictions : holds them to a run.

    Examples
    --------
    >>> predictions("gpt2")["predictions"][0]["figure"]
    'on'
    """
    return _named("predictions", model, "model", " Nothing was predicted of others.")


def _named(kind, name, argument, remedy=""):
    """One of the JSON files in a folder of the data, by its name."""
    folder = data_folder() / kind
    names = sorted(path.stem for path in folder.glob("*.json"))
    if names and name not in names:  # without any, reading says what is gone
        raise ValueError(f"{argument}: expected one of {', '.join(names)}, got {name!r}.{remedy}")
    return read_json(folder / f"{name}.json")


def compare_predictions(
    figures: Mapping[str, Mapping[str, Any]], *, model: str = "gpt2"
) -> list[tuple[str, float, float, float, str]]:
    """Hold a run to what was predicted of it: each prediction confirmed, refuted, or not measured.

    A prediction is about one number, the mean over layers of a figure of `survey`, of what a trained layer has over
    its matched one, or of the quotient of the two means. It is confirmed by a number from low to high, and refuted by
    any other.

    Parameters
    ----------
    figures : dict
        ``"trained"`` and ``"matched"``, each a dict of figures of `survey`, one number for each layer: those of the
        network's layers and of their `matched_layer`. What is missing is not measured.
    model : {"gpt2"}
        Of which network the predictions are. Whether the figures are that network's is the caller's to know.

    Returns
    -------
    list of (claim, low, high, found, verdict)
        ``found`` is NaN, and the verdict "not measured", where a figure is missing or not finite in a layer.

    Raises
    ------
    ValueError
        Nothing was predicted of that network, or two figures of one prediction have different numbers of layers.

    See Also
    --------
    predictions : what they are.
    survey, matched_layer : where the figures come from.

    Examples
    --------
    >>> found = compare_predictions({"trained": {"on": [0.99, 0.98]}})
    >>> found[0][-1], found[1][-1]  # nearly all neurons on, and nothing else measured
    ('refuted', 'not measured')
    """
    rows = []
    for one in predictions(model)["predictions"]:
        found = _predicted_number(figures, one["figure"], one["of"])
        verdict = "confirmed" if one["low"] <= found <= one["high"] else "refuted"
        rows.append((one["claim"], one["low"], one["high"], found, "not measured" if np.isnan(found) else verdict))
    return rows


def _predicted_number(figures, figure, of):
    kinds = of.split()[::2]
    values = [np.asarray(figures.get(kind, {}).get(figure, np.nan), dtype=np.float64) for kind in kinds]
    if not all(np.isfinite(value).all() for value in values):
        return np.nan
    if len({value.shape for value in values}) > 1:
        shapes = " and ".join(str(list(value.shape)) for value in values)
        raise ValueError(f"figures: expected as many layers in {' and '.join(kinds)}, got {figure} of {shapes}.")
    mean, *null = (float(value.mean()) for value in values)
    return mean if not null else mean - null[0] if " - " in of else mean / null[0]


def save_results(
    model: str, notebook: str, numbers: Mapping[str, Any], *, folder: str | os.PathLike | None = None
) -> str:
    """Write a notebook's numbers for one model, or compare them with those that are there.

    Without a file for this model and notebook, one is written. With one, it is left as it is and every number is
    compared: they agree to 1e-6 (networks run in float64, so machines differ much less). If they do not, the new
    numbers are written beside it, to ``<notebook>.new.json``.

    Parameters
    ----------
    model : str
        The model's name, as `model_name` gives it.
    notebook : str
        ``"06"``: of letters, digits, "-", "_" and ".".
    numbers : dict
        One key a measured figure; values are numbers or lists of numbers.
    folder : path, optional
        By default what the environment variable ``LNPOLY_RESULTS`` names; else ``data/results`` of a clone, or, where
        the package is installed, ``results`` in the current folder.

    Returns
    -------
    str
        One line that says what was done.

    Raises
    ------
    ValueError
        A name that would leave the folder, or the file that is there is no results file.
    OSError
        There is no place to write; the message says how to name another.

    See Also
    --------
    model_name : the name of a loaded model.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     save_results("gpt2", "06", {"angle": [12.5, 13.0]}, folder=folder)
    'gpt2: 1 figure written to gpt2/06.json, the first of this model'
    """
    if folder is None:
        folder = os.environ.get("LNPOLY_RESULTS") or _default_folder()
    path = Path(folder).expanduser() / _file_name(model, "model") / f"{_file_name(notebook, 'notebook')}.json"
    numbers = {key: np.asarray(value, dtype=np.float64).tolist() for key, value in numbers.items()}
    try:
        return _saved(model, path, numbers)
    except OSError as error:
        raise type(error)(
            f"{path.parent}: expected a folder to write into, got {error.strerror or error}. "
            f"Name another by folder=... or in the environment variable LNPOLY_RESULTS."
        ) from None


def _file_name(name, argument):
    """A name as part of a path: a model's may hold anything, but none leads out of its folder."""
    cleaned = re.sub(r"[^\w.-]+", "_", str(name)).strip("_")
    if not cleaned.strip(".") or (argument == "notebook" and cleaned != name):
        raise ValueError(
            f"{argument}: expected a name that a file can have, as '06' or 'gpt2', got {name!r}. "
            f"The place to write into is another argument, folder."
        )
    return cleaned


def _saved(model, path, numbers):
    """What `save_results` says, once the names are known to be good."""
    if not path.exists():
        _write(path, numbers)
        written = f"{count(len(numbers), 'figure')} written to {path.parent.name}/{path.name}"
        return f"{model}: {written}, the first of this model"
    try:
        reference = json.loads(path.read_text(encoding="utf-8"))
        reference = {key: np.asarray(value, dtype=np.float64) for key, value in reference.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: expected a results file in JSON, got one that cannot be read ({error}). "
            f"Restore it with git, or delete it to have it written anew."
        ) from None
    off = [key for key in reference.keys() | numbers.keys() if not _agree(reference.get(key), numbers.get(key))]
    if not off:
        return f"{model}: all {len(numbers)} figures agree with the reference to {_RELATIVE:.0e}"
    new = path.with_suffix(".new.json")
    _write(new, numbers)
    return f"{model}: {len(off)} figures DIFFER from the reference: {', '.join(sorted(off))}; see {new.name} beside it"


def _default_folder():
    data = data_folder()
    in_clone = (data.parent / "pyproject.toml").is_file()
    return data / "results" if in_clone else Path("results")


def _agree(a, b):
    if a is None or b is None or np.shape(a) != np.shape(b):
        return False
    return bool(np.allclose(a, b, rtol=_RELATIVE, atol=_ABSOLUTE, equal_nan=True))


def _write(path, numbers):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text_of(numbers), encoding="utf-8")


def text_of(rows):
    """JSON, a key a line."""
    return "{\n" + ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in rows.items()) + "\n}\n"
