"""Reports as a person, or a program, gets them."""
