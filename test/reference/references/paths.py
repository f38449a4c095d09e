"""Where things are in the repository."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BUNDLED_MODELS = ROOT / "public" / "models" / "firstlight"
TINY_MODELS = ROOT / "test" / "fixtures" / "models"
REFERENCES = ROOT / "test" / "fixtures" / "reference"
TOKENIZERS = ROOT / "test" / "fixtures" / "tokenizers"
ROTARY_CONFIGS = ROOT / "test" / "unit" / "blueprints" / "golden" / "rotary-configs.json"
TIED_HEADS = ROOT / "test" / "unit" / "plan" / "golden" / "tied-heads.json"
