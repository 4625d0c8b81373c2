"""Code that runs inside the child, next to the student's. It holds no expectation, no verdict and no score."""
