"""Measure what the notebooks quote of seeds, checkpoints and widths that are not embedded; write data/results/seeds.

usage: python data/measure.py [--seeds FOLDER] [--ladder FOLDER] [--pretrained] [--only FILE ...] [--out FOLDER]

--seeds holds what ``data/build.py --seed ...`` writes, ``NAME.seedS[.stepN].npz``, loose or in tar files; --ladder what
``data/ladder.py`` writes. Every layer is measured by `survey`, 30 degrees towards other tokens, four times: as it was
trained ("trained"); its `matched_layer` ("matched"); with its own W_in and random W_out ("W_out random"); and, but for
the ladder, the layer of a network of that design with fresh weights ("untrained"), at its own points. One file a
design [seed, layer], seed 0 the embedded model; ``checkpoints`` and ``widths`` [network, layer], ``ladder`` [network].
--pretrained is for the networks that come in pip packages, every third layer and the last of SmolLM2, every one of
MiniLM: one file each, [layer].

Points are residual vectors of every third text of ``data/prompts.txt``, one for each distinct context and no text's
first token. Where there is no norm they are taken at their median length (`at_length`). Networks and draws are in
float64, numbers are rounded to DIGITS: the same on every processor. All of it takes a quarter of an hour on one core.
"""

import argparse
import hashlib
import io
import json
import re
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from lnpoly_helpers import (  # noqa: E402
    EMBEDDED,
    FoldedMLP,
    load_model,
    model_card,
    model_name,
    prompts,
    survey_beside_nulls,
    survey_network,
)
from lnpoly_helpers.models.load import boot_native  # noqa: E402

TEXTS = prompts()[::3]
SETTINGS = {"n_paths": 96, "n_contexts": 32, "n_directions": 24}
DIGITS = 4  # significant
PRETRAINED = {"minilm": "minilm", "smollm2-4bit": "smollm2"}  # file: name to load
FILES = (*EMBEDDED, "checkpoints", "widths", "ladder", *PRETRAINED)
NAME = re.compile(r"(nano|w(?P<width>\d+))-(?P<design>[a-z]+-[a-z]+)\.seed(?P<seed>\d+)(\.step(?P<step>\d+))?\.npz")


@dataclass
class Network:
    """A network that is not embedded: where its weights come from, and what is said of it."""

    design: str
    seed: int
    step: int | None
    width: int | None
    held_back_loss: float | None
    read: Callable[[], bytes]

    def config(self):
        """The embedded model's of that design, at another width: heads of 32, four times as many neurons."""
        config = model_card(self.design)["config"] | {"seed": self.seed}
        if self.width is None:
            return config
        heads = self.width // config["d_head"]
        return config | {"d_model": self.width, "n_heads": heads, "d_mlp": 4 * self.width}

    def load(self):
        """(model in float64, sha256 of the file)."""
        import torch

        content = self.read()
        model = boot_native(self.config(), "float64")
        arrays = {key: torch.from_numpy(w.astype(np.float64)) for key, w in np.load(io.BytesIO(content)).items()}
        missing, unexpected = model.load_state_dict(arrays, strict=False)
        if unexpected or [key for key in missing if not key.endswith("head._original_component.bias")]:
            sys.exit(f"{self.design}, seed {self.seed}: expected the weights of {self.config()}, got others.")
        return model, hashlib.sha256(content).hexdigest()


def find_networks(folder):
    """Every network in a folder, loose or in tar files, in a fixed order."""
    found = {path.name: path.read_bytes for path in folder.glob("*.npz")}
    for path in folder.glob("*.tar"):
        with tarfile.open(path) as archive:
            found |= {name: lambda path=path, name=name: read_member(path, name) for name in archive.getnames()}
    networks, losses = [], final_losses(folder / "losses.json")
    for name, read in found.items():
        if match := NAME.fullmatch(name):
            step, width = (None if match[key] is None else int(match[key]) for key in ("step", "width"))
            loss = None if step is not None else losses.get(name.removesuffix(".npz"))
            networks.append(Network(f"nano-{match['design']}", int(match["seed"]), step, width, loss, read))
    return sorted(networks, key=lambda n: (n.design, n.width or 0, n.seed, n.step or 0))


def final_losses(path):
    """{"NAME.seedS": held-back loss} at the end of training, nats a byte, of a ``losses.json``."""
    runs = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.exists() else {}
    ends = {name: zip(run["seeds"], run["held_back"][-1][1], strict=True) for name, run in runs.items()}
    return {f"{name}.seed{seed}": rounded(loss) for name, end in ends.items() for seed, loss in end}


def read_member(path, name):
    with tarfile.open(path) as archive:
        return archive.extractfile(name).read()


def measure_network(model, seed, **options):
    """{"trained": {figure: [layer]}, ...} of one network."""
    return survey_network(model, TEXTS, seed=seed, **SETTINGS, **options)


def measure_twin(config):
    """{"untrained": {figure: [layer]}} of a network with fresh weights."""
    return {"untrained": measure_network(boot_native(config, "float64"), config["seed"], nulls=())["trained"]}


def stack(rows):
    """A list of {name: {figure: value}} as {name: {figure: [values]}}."""
    if not rows:
        sys.exit("expected networks of this kind in the folder, got none. --only names the kinds that are there.")
    return {name: {key: [row[name][key] for row in rows] for key in rows[0][name]} for name in rows[0]}


def measure_design(name, networks):
    chosen = [n for n in networks if n.design == name and n.step is None and n.width is None and n.seed]
    if not chosen:  # what is committed has nine
        sys.exit(f"{name}: expected other seeds of it in the folder, got none. --only names the kinds that are there.")
    card = model_card(name)
    found = [measure_network(load_model(name), 0) | measure_twin(card["config"])]
    about = [{"seed": 0, "held_back_loss": rounded(card["training"]["held_back_loss"]), "sha256": card["sha256"]}]
    for network in chosen:
        model, sha256 = network.load()
        found.append(measure_network(model, network.seed) | measure_twin(network.config()))
        about.append({"seed": network.seed, "held_back_loss": network.held_back_loss, "sha256": sha256})
    return about, stack(found)


def measure_checkpoints(networks):
    """From fresh weights (step 0) to the end, of every seed of which steps on the way were kept."""
    about, found = [], []
    last = model_card("nano-ln-relu")["training"]["steps"]
    for design, seed in dict.fromkeys((n.design, n.seed) for n in networks if n.step is not None and n.width is None):
        run = [n for n in networks if (n.design, n.seed, n.width) == (design, seed, None)]
        models = [(0, boot_native(run[0].config(), "float64"), None)]
        models += [(n.step or last, *n.load()) for n in run]
        for step, model, sha256 in sorted(models, key=lambda one: one[0]):
            found.append(measure_network(model, seed))
            about.append({"design": design, "seed": seed, "step": step, "sha256": sha256})
    return about, stack(found)


def measure_widths(networks):
    about, found = [], []
    for network in (n for n in networks if n.width is not None and n.step is None):
        model, sha256 = network.load()
        found.append(measure_network(model, network.seed) | measure_twin(network.config()))
        known = {"design": network.design, "d_model": network.width, "seed": network.seed}
        about.append(known | {"held_back_loss": network.held_back_loss, "sha256": sha256})
    return about, stack(found)


def ladder_layers(folder):
    """(what is known of it, layer, points) for every layer in a folder; a file may hold several, as NETWORK/NAME."""
    for path in sorted(folder.glob("*.npz")):
        sha256, arrays = hashlib.sha256(path.read_bytes()).hexdigest(), dict(np.load(path))
        for prefix in sorted({key.rpartition("/")[0] for key in arrays}):
            one = {key.rpartition("/")[2]: value for key, value in arrays.items() if key.rpartition("/")[0] == prefix}
            W = one["W"].astype(np.float64)
            mlp = FoldedMLP(
                W - W.mean(axis=0), one["b"], one["Wo"], np.zeros(len(W)), str(one["act"]), 1e-5, "layernorm"
            )
            about = {"activation": mlp.activation, "d_model": mlp.d_model}
            about |= {key: int(one[key]) for key in ("layers", "layer", "seed")} | {"sha256": sha256}
            yield about, mlp, mlp.to_sphere(one["z"])


def measure_ladder(folder):
    about, found = [], []
    for known, mlp, z in ladder_layers(folder):
        start = time.monotonic()
        found.append(survey_beside_nulls(mlp, z, [known["seed"], known["layer"]], **SETTINGS))
        about.append(known)
        print(f"  {known['activation']} d={known['d_model']}: {time.monotonic() - start:.0f} s", flush=True)
    order = sorted(range(len(about)), key=lambda k: [about[k][key] for key in ("layers", "d_model", "seed", "layer")])
    return [about[k] for k in order], stack([found[k] for k in order])


def measure_pretrained(name):
    model = load_model(PRETRAINED[name])
    if model_name(model) != name:
        sys.exit(f"{name}: expected its package, got {model_name(model)}. make setup installs it.")
    n_layers = model.cfg.n_layers
    layers = list(range(n_layers)) if n_layers < 12 else [*range(0, n_layers - 1, 3), n_layers - 1]
    found = survey_network(model, TEXTS, layers, seed=0, **SETTINGS)
    return [{"d_model": model.cfg.d_model, "layers": layers}], found


def rounded(value):
    """Nested lists to DIGITS significant digits; what is not finite as a text."""
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else str(value)


def write(path, about, figures, command):
    """One line for each figure of each kind; standard errors of paths only where there is no seed to tell more."""
    singles = path.stem in ("ladder", *PRETRAINED)
    lines = [f'"command": {json.dumps(command)}', f'"settings": {json.dumps({"degrees": 30, **SETTINGS})}']
    lines.append('"networks": [\n' + ",\n".join("  " + json.dumps(one) for one in about) + "]")
    for name, values in figures.items():
        kept = {key: rounded(value) for key, value in values.items() if singles or not key.endswith("_se")}
        body = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in kept.items())
        lines.append(f"{json.dumps(name)}: {{\n{body}}}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{" + ",\n".join(lines) + "}\n", encoding="utf-8", newline="\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=Path, metavar="FOLDER")
    parser.add_argument("--ladder", type=Path, metavar="FOLDER")
    parser.add_argument("--pretrained", action="store_true")
    parser.add_argument("--only", nargs="+", choices=FILES, default=FILES, metavar="FILE", help=", ".join(FILES))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "seeds", metavar="FOLDER")
    args = parser.parse_args()
    if not (args.seeds or args.ladder or args.pretrained):
        parser.error("expected what to measure: --seeds, --ladder, --pretrained (make seeds SEEDS=... LADDER=...)")
    for folder in filter(None, (args.seeds, args.ladder)):
        if not folder.is_dir():
            parser.error(f"{folder}: expected a folder, got none.")
    networks = find_networks(args.seeds) if args.seeds else []
    if args.seeds and not networks:
        parser.error(f"{args.seeds}: expected networks named {NAME.pattern}, loose or in tar files, got none.")
    for name in args.only:
        if not (args.ladder if name == "ladder" else args.pretrained if name in PRETRAINED else args.seeds):
            continue
        start = time.monotonic()
        if name == "ladder":
            measured = measure_ladder(args.ladder)
        elif name in PRETRAINED:
            measured = measure_pretrained(name)
        elif name in EMBEDDED:
            measured = measure_design(name, networks)
        else:
            measured = (measure_checkpoints if name == "checkpoints" else measure_widths)(networks)
        option = "--ladder FOLDER" if name == "ladder" else "--pretrained" if name in PRETRAINED else "--seeds FOLDER"
        write(args.out / f"{name}.json", *measured, f"python data/measure.py {option} --only {name}")
        print(f"{name}: {len(measured[0])} networks in {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
