"""The kit on GitHub: what it prints there, and the workflow that grades a pull request."""
