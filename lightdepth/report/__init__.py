"""Reports: tables as Markdown and HTML, and pages that need no other file."""
