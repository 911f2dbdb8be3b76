"""The commands of the shell, one function each; `kcm.cli` picks one."""

# for the other rooms
from kcm.commands.parser import command_parser as command_parser
