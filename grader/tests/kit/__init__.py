"""The kit as a whole: its structure, its course, its stubs and mutants, its command line."""
