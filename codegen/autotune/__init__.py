"""Choosing schedules by measuring them, and the records of what was found."""
