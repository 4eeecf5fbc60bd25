"""Other projects' networks behind one interface."""
