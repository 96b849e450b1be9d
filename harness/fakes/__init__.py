"""Executable fakes of Cryo, an RPC pool and a dispatcher; each uses the real protocol."""
