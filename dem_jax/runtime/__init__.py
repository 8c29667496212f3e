"""How the method meets files, machines and people: the only impure room."""
