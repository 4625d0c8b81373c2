"""The kit proves itself: stubs score 0, solutions and their variants score full, every mutant is caught."""
