"""A Hugging Face hub on the loopback address, with the models it is given and the faults that a test asks for."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FOREVER = 600  # seconds; longer than any test waits
COMMIT = "607a30d783dfa663caf39e06633721c8d4cfcd7e"
LARGE = ".safetensors"  # what the hub keeps apart, under its sha256, and hands out by a redirect
FAULTS = (
    "missing",  # 404 for the file
    "cut short",  # the file ends early, and the server says so itself
    "breaks off",  # the connection ends halfway, each time from the start
    "stalls",  # the connection stays, and nothing comes any more
    "damaged",  # the right length, one bit flipped
)


class Hub:
    """``with Hub({"openai-community/gpt2": folder}) as hub: ...hub.endpoint...``

    Parameters
    ----------
    models : dict of str: Path
        Repositories, or ``repository@revision``, and the folders with their files.
    alias : dict of str: str
        Short names that are redirected, as the hub does for gpt2.
    fault : str
        One of FAULTS, for every large file; ``"silent"``: connections are taken and never answered.
    """

    def __init__(self, models, alias=None, fault=None):
        self.models, self.alias, self.fault = models, alias or {}, fault
        self.requests = []
        self.closing = threading.Event()

    def __enter__(self):
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                hub.answer(self, body=False)

            def do_GET(self):
                hub.answer(self, body=True)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *problem):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request, body):
        self.requests.append(f"{request.command} {request.path}")
        if self.fault == "silent":
            self.closing.wait(FOREVER)
            return
        path = request.path.split("?")[0].strip("/")
        if path.startswith("large/"):
            return self._send_large(request, path.removeprefix("large/"), body)
        repository, resolve, rest = path.partition("/resolve/")
        revision, _, file = rest.partition("/")
        if repository in self.alias and resolve:
            target = f"/{self.alias[repository]}/resolve/{rest}"
            return self._send(request, 307, b"Temporary Redirect", {"Location": target}, body)
        if not resolve or repository not in {name.split("@")[0] for name in self.models}:
            # the hub tells strangers no difference between what is private and what is not there
            return self._send(request, 401, b"Invalid username", {"X-Error-Code": "RepoNotFound"}, body)
        name = repository if revision == "main" else f"{repository}@{revision}"
        if name not in self.models:
            return self._send(request, 404, b"Invalid rev id", {"X-Error-Code": "RevisionNotFound"}, body)
        commit = COMMIT if revision == "main" else hashlib.sha1(revision.encode()).hexdigest()
        content = self._read(self.models[name], file)
        if content is None:
            headers = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}
            return self._send(request, 404, b"Entry not found", headers, body)
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if file.endswith(LARGE):
            sha256 = hashlib.sha256(content).hexdigest()
            headers |= {"X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": str(len(content))}
            # on another host, where the hub's own headers are missing
            headers["Location"] = f"{self.endpoint.replace('127.0.0.1', 'localhost')}/large/{name}/{file}"
            return self._send(request, 302, b"Found", headers, body)
        headers["ETag"] = f'"{hashlib.sha1(content).hexdigest()}"'
        self._send(request, 200, content, headers, body)

    def _read(self, folder, file):
        if self.fault == "missing" and file.endswith(LARGE):
            return None
        path = folder / file
        return path.read_bytes() if path.is_file() else None

    def _send_large(self, request, path, body):
        repository, file = path.rsplit("/", 1)
        content = bytearray((self.models[repository] / file).read_bytes())
        if self.fault == "damaged":
            content[-1000] ^= 1
        half = len(content) // 2
        if self.fault in ("breaks off", "stalls") and body:
            request.send_response(200)
            request.send_header("Content-Length", str(len(content)))
            request.end_headers()
            request.wfile.write(content[:half])
            request.wfile.flush()
            if self.fault == "stalls":
                self.closing.wait(FOREVER)
            request.close_connection = True
            return
        self._send(request, 200, bytes(content[:half] if self.fault == "cut short" else content), {}, body)

    @staticmethod
    def _send(request, status, content, headers, body):
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if body:
            request.wfile.write(content)


def as_published(model, folder):
    """Write a transformers GPT-2 the way the hub has it: tensors without prefix, with the masks, a byte-level BPE.

    The tokenizer has a token for every byte and no merges.
    """
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    folder.mkdir(parents=True, exist_ok=True)
    n = model.config.n_positions
    tensors = {}
    for name, tensor in model.transformer.state_dict().items():
        tensors[name] = tensor.contiguous()
    for layer in range(model.config.n_layer):
        tensors[f"h.{layer}.attn.bias"] = torch.tril(torch.ones(n, n))[None, None]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = {key: value for key, value in model.config.to_dict().items() if key.startswith("n_") or "drop" in key}
    config |= {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "activation_function": "gelu_new"}
    config |= {"layer_norm_epsilon": 1e-5, "vocab_size": model.config.vocab_size, "n_ctx": n}
    end = model.config.vocab_size - 1
    config |= {"bos_token_id": end, "eos_token_id": end}
    (folder / "config.json").write_text(json.dumps(config))
    vocabulary = {letter: k for k, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    vocabulary["<|endoftext|>"] = end
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": n}))
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "generation_config.json").write_text(json.dumps({"bos_token_id": end, "eos_token_id": end}))
