"""Reward properties of molecules, captions of them, and molecules from captions."""
