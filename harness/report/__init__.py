"""What is said of histories and verdicts: consumers of them, nothing else."""
