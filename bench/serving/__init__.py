"""Load on a running server: who asks when, what it took, and what that means."""
