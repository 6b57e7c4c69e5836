# Docker refuses it: without this each start of a program brings a warning.
set disable-randomization off
