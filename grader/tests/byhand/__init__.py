"""Trying by hand: serve, hint, replay."""
