"""The command line: its flags, what they mean, and how --help tells of them."""
