"""Executable fakes of the collaborators: each speaks the real wire."""
