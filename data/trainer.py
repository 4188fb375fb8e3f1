"""Transformers in GPT-2's block design, trained as one batched model of several seeds: at once on a GPU.

Weights are a dict of tensors [seed, ...] under the names of transformer_lens's native bridge, `config` is what
``boot_native`` takes. Each seed is trained as it would be alone: its own weights, batches and gradient norm.
"""

import math
import os
import time

import torch
import torch.nn.functional as F

from lnpoly_helpers.models.load import boot_native

SAVE_EVERY = 45.0  # seconds: a killed run loses less than a minute


def device():
    return "cuda" if torch.cuda.is_available() else "cpu"


def has_bfloat16():
    """Where bfloat16 is quicker than float32."""
    return device() == "cuda" or torch.cpu._is_amx_tile_supported()


def fresh_weights(config, seeds):
    """The initial weights of every seed, bit for bit those of ``boot_native(config | {"seed": seed})``."""
    each = [boot_native(config | {"seed": seed}).state_dict() for seed in seeds]
    names = [name for name in each[0] if name != "unembed.bias"]  # 0, and not trained
    return {name: torch.stack([weights[name] for weights in each]).to(device()).requires_grad_() for name in names}


def logits(weights, tokens, config, *, before_mlp=None):
    """Logits [S, B, T, V] of tokens [S, B, T]; `before_mlp(layer, x)` sees what enters the norm before each MLP."""
    (S, B, T), d = tokens.shape, config["d_model"]
    kind, eps, d_head = config["normalization_type"], config["eps"], config["d_head"]

    def linear(x, name):
        bias, weight = weights[f"{name}.bias"][:, None], weights[f"{name}.weight"].transpose(1, 2)
        return torch.baddbmm(bias, x.reshape(S, B * T, -1), weight).reshape(S, B, T, -1)

    def norm(x, name):
        if kind is None:
            return x
        x = x if x.dtype == torch.float64 else x.float()
        if kind == "LN":
            return F.layer_norm(x, (d,), eps=eps) * on_rows(f"{name}.weight") + on_rows(f"{name}.bias")
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * on_rows(f"{name}.weight")

    def on_rows(name):
        return weights[name][:, None, None]

    def heads(x):
        return x.reshape(S * B, T, d // d_head, d_head).transpose(1, 2)

    def act(h):
        return F.relu(h) if config["act_fn"] == "relu" else F.gelu(h, approximate="tanh")

    rows = tokens.reshape(S, B * T, 1).expand(-1, -1, d)
    x = weights["embed.weight"].gather(1, rows).reshape(S, B, T, d) + weights["pos_embed.weight"][:, None, :T]
    for layer in range(config["n_layers"]):
        block = f"blocks.{layer}"
        z = norm(x, f"{block}.ln1")
        attended = F.scaled_dot_product_attention(
            *(heads(linear(z, f"{block}.attn.{part}")) for part in "qkv"), is_causal=True
        )
        x = x + linear(attended.transpose(1, 2).reshape(S, B, T, d), f"{block}.attn.o")
        if before_mlp is not None:
            before_mlp(layer, x)
        x = x + linear(act(linear(norm(x, f"{block}.ln2"), f"{block}.mlp.in")), f"{block}.mlp.out")
    x = norm(x, "ln_final").reshape(S, B * T, d)
    return torch.bmm(x, weights["unembed.weight"].transpose(1, 2)).reshape(S, B, T, -1)


def losses(weights, rows, config, *, autocast=False):
    """Mean nats a token [S] over rows of tokens [S, B, T + 1]."""
    with torch.autocast(device(), torch.bfloat16, enabled=autocast):
        out = logits(weights, rows[:, :, :-1], config)
    out = out if out.dtype == torch.float64 else out.float()
    each = F.cross_entropy(out.reshape(-1, out.shape[-1]), rows[:, :, 1:].reshape(-1), reduction="none")
    return each.reshape(len(rows), -1).mean(1)


@torch.no_grad()
def held_back_losses(weights, rows, config):
    """The same [S] over rows [n, T + 1] that all seeds share, some at a time."""
    n_seeds = len(weights["embed.weight"])
    total = 0.0
    for part in rows.split(64):
        part = part.to(device())
        total = total + losses(weights, part.expand(n_seeds, *part.shape), config) * len(part)
    return (total / len(rows)).tolist()


def rate_at(step, steps, peak, warm_up):
    """Linear warm-up, then a cosine down to a tenth of the peak."""
    if step < warm_up:
        return peak * (step + 1) / warm_up
    done = (step - warm_up) / max(1, steps - warm_up)
    return peak * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))


def make_optimizer(weights, peak):
    """AdamW; weight decay on matrices alone, so that no bias and no norm is pulled to zero."""
    matrices, vectors = ([w for w in weights.values() if (w.ndim > 2) == many] for many in (True, False))
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.95), fused=device() == "cuda")


def clip_gradients(weights, limit=1.0):
    """As ``torch.nn.utils.clip_grad_norm_``, for each seed by itself."""
    gradients = [w.grad for w in weights.values()]
    norms = torch.stack([g.reshape(len(g), -1).pow(2).sum(1) for g in gradients]).sum(0).sqrt()
    scale = (limit / (norms + 1e-6)).clamp(max=1.0)
    for g in gradients:
        g.mul_(scale.reshape(-1, *[1] * (g.ndim - 1)))


def train(config, seeds, batch_at, held_back, *, steps, peak, warm_up, name, state_file, run, at_step=None):
    """Train and return (weights, history, seconds); goes on from ``state_file`` if it holds the same ``run``.

    batch_at(step) gives rows [S, B, T + 1], held_back is [n, T + 1], at_step(step, weights) is called after each step.
    history holds [step, training losses since the last entry [S], held-back losses [S]], every 250 steps.
    """
    autocast = has_bfloat16()
    weights = fresh_weights(config, seeds)
    optimizer = make_optimizer(weights, peak)
    step, history, before, recent = 0, [], 0.0, []
    if state_file.exists() and (state := torch.load(state_file, weights_only=False))["run"] == run:
        step, history, before, recent = (state[key] for key in ("step", "history", "seconds", "recent"))
        with torch.no_grad():
            for key, weight in weights.items():
                weight.copy_(state["weights"][key])
        optimizer.load_state_dict(state["optimizer"])
        print(f"{name}: goes on at step {step}", flush=True)

    def seconds():
        return before + time.monotonic() - start

    def save():
        state = {"run": run, "step": step, "history": history, "seconds": seconds(), "recent": recent}
        state |= {"weights": weights, "optimizer": optimizer.state_dict()}
        torch.save(state, state_file.with_suffix(".new"))
        os.replace(state_file.with_suffix(".new"), state_file)

    start = saved = time.monotonic()
    first = step
    while step < steps:
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, steps, peak, warm_up)
        loss = losses(weights, batch_at(step).to(device()), config, autocast=autocast)
        optimizer.zero_grad()
        loss.sum().backward()
        clip_gradients(weights)
        optimizer.step()
        recent.append(loss.detach())
        step += 1
        if at_step is not None:
            at_step(step, weights)
        if step % 250 == 0 or step == steps:
            trained = torch.stack(recent).mean(0).tolist()
            if not all(map(math.isfinite, trained)):
                raise SystemExit(f"{name}: the loss is {trained} before step {step}; lower the peak rate ({peak:g}).")
            history.append([step, trained, held_back_losses(weights, held_back, config)])
            recent.clear()
            left = (time.monotonic() - start) / (step - first) * (steps - step)
            shown = ("/".join(f"{value:.3f}" for value in values) for values in history[-1][1:])
            print(f"{name}: step {step:5} of {steps}, loss {next(shown)}, held back {next(shown)}", end=" ")
            print(f"nats a token, {left / 60:.1f} min left", flush=True)
        if time.monotonic() - saved > SAVE_EVERY:
            save()
            saved = time.monotonic()
    save()
    return {key: weight.detach().cpu() for key, weight in weights.items()}, history, seconds()
