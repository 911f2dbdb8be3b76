"""The commands of the shell, one function each; `kcm.cli` picks one."""
