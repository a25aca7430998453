"""What bounds a phase: the machine's roofs, measured, and how near to them each phase comes."""
