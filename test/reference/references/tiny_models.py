"""Write the tiny random checkpoints: `python -m references.tiny_models`, or compare them with `--check`."""

from __future__ import annotations

import argparse
import filecmp
import json
import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedModel

from .paths import TINY_MODELS
from .specs import Spec, specs

#: The layers outweigh the embedding, or a tied model would only repeat the last id.
_SPREAD_OF_EMBEDDING = 0.1
_SPREAD_OF_MATRICES = 0.2
_SPREAD_OF_VECTORS = 0.2

#: Channels of a model with massive activations: what sets its first id apart, and what the first two layers let grow.
_MARK, _MASSIVE = 3, 7
#: What each of the two adds to that channel. Float16 ends at 65,504: it holds either addition, but not their sum.
_ADDED = 40_000.0


def _draw_weights(model: PreTrainedModel, spec: Spec) -> None:
    """Random weights under which a mistake shows: no bias is zero, no norm is one, and the logits lie far apart.

    They are rounded to what will be stored, one by one: to convert the whole model would round its rotary tables too.
    """
    generator = torch.Generator().manual_seed(spec.seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            drawn = torch.randn(weight.shape, generator=generator)
            if weight.dim() > 1:
                drawn *= _SPREAD_OF_EMBEDDING if "embed" in name else _SPREAD_OF_MATRICES
            elif "norm" in name:
                drawn = 1 + drawn.clamp(-1, 1) * _SPREAD_OF_VECTORS
            else:
                drawn *= _SPREAD_OF_VECTORS
            weight.copy_(drawn.to(spec.dtype))


@torch.no_grad()
def _make_massive(model: PreTrainedModel, spec: Spec) -> None:
    """Make the first id do what beginnings of texts do in trained models (arXiv:2402.17762).

    Neuron 0 of layer 0 fires on the first id's mark, neuron 0 of layer 1 on what layer 0 wrote; nothing else reads or
    writes the two channels, so that all other ids go through the model as they would without.
    """
    first = spec.config.bos_token_id
    model.model.embed_tokens.weight[:, [_MARK, _MASSIVE]] = 0
    model.model.embed_tokens.weight[first, _MARK] = 2
    for layer in model.model.layers:
        layer.self_attn.o_proj.weight[[_MARK, _MASSIVE], :] = 0
        layer.mlp.down_proj.weight[[_MARK, _MASSIVE], :] = 0
    for layer, channel in zip(model.model.layers[:2], (_MARK, _MASSIVE)):
        mlp = layer.mlp
        for projection in (mlp.gate_proj, mlp.up_proj):
            projection.weight[0, :] = 0
            projection.weight[0, channel] = 4
        mlp.down_proj.weight[:, 0] = 0
        fired: list[torch.Tensor] = []
        hook = mlp.down_proj.register_forward_pre_hook(lambda _, inputs: fired.append(inputs[0][0, 0, 0]))
        model.eval()(input_ids=torch.tensor([[first]]))
        hook.remove()
        mlp.down_proj.weight[_MASSIVE, 0] = (_ADDED / fired[0]).to(spec.dtype)


def _write_old_config(path: Path) -> None:
    """Rewrite config.json with `rope_theta`, `rope_scaling` and `torch_dtype`, as transformers 4 wrote it."""
    config = json.loads(path.read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = rope if rope["rope_type"] != "default" else None
    config["torch_dtype"] = config.pop("dtype")
    path.write_text(json.dumps(dict(sorted(config.items())), indent=2) + "\n")


def _logits(model: PreTrainedModel) -> torch.Tensor:
    ids = torch.arange(3, 43)[None]
    with torch.no_grad():
        return model.eval()(input_ids=ids).logits


def write(spec: Spec, folder: Path) -> None:
    """Write one checkpoint, and make sure that reading it gives the model that was saved."""
    model = AutoModelForCausalLM.from_config(spec.config, dtype=torch.float32, attn_implementation="eager")
    _draw_weights(model, spec)
    if spec.massive:
        _make_massive(model, spec)
    expected = _logits(model)
    model.to(spec.dtype)
    model.generation_config = GenerationConfig(
        bos_token_id=spec.config.bos_token_id, eos_token_id=spec.config.eos_token_id, do_sample=False,
    )
    model.save_pretrained(folder, max_shard_size=spec.shard_size)
    if spec.old_config:
        _write_old_config(folder / "config.json")
    reread = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    if not torch.equal(expected, _logits(reread)):
        raise RuntimeError(f"{spec.name}: the checkpoint read back is another model")


def _differences(fresh: Path, committed: Path) -> list[str]:
    names = sorted({path.name for folder in (fresh, committed) for path in folder.iterdir()})
    _, mismatches, missing = filecmp.cmpfiles(fresh, committed, names, shallow=False)
    return [f"{committed.name}/{name}" for name in mismatches + missing]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=TINY_MODELS)
    parser.add_argument("--check", action="store_true", help="compare with the files in --out, write nothing")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        different: list[str] = []
        for spec in specs():
            folder = Path(scratch if arguments.check else arguments.out) / spec.name
            write(spec, folder)
            if arguments.check:
                different += _differences(folder, arguments.out / spec.name)
    if different:
        sys.exit("different: " + ", ".join(different))
    print("tiny checkpoints are", "unchanged" if arguments.check else f"in {arguments.out}")


if __name__ == "__main__":
    main()
