"""Shared by the kit's own tests."""

collect_ignore = ["course", "hostile"]
