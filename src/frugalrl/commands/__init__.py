"""The commands, a file each: arguments in, lines out.

What may not enter: work. A command reads its arguments, calls one function, and prints.
"""
