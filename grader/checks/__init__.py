"""What is graded: a folder of checks per exercise."""
