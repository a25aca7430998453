"""What a results file says, for people: plots, and a table for a document."""
