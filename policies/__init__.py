"""What is forbidden: the CrossGuard policy pack, its rules (POL-01 to POL-34) and the configuration handed to it."""
