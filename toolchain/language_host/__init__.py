"""The Python language host that runs the program where the vendor's own host cannot be obtained."""
