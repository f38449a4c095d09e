"""Tiny random checkpoints and the reference outputs that browser tests are held against."""
