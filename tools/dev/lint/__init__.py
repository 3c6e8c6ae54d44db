"""./x lint: the rules of STYLE.md and src/layers.txt that a program can check. One module a group of rules."""
