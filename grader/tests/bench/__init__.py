"""The benchmarks: what they make of their figures."""
