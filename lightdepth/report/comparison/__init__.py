"""A comparison as tables, Markdown with pictures, and a page of HTML."""
