"""Reports as one HTML file that needs no other: tables, plots, pictures."""

from .page import Cell, box, command_box, embed_png, heading, number, page, paragraph, picture, plots, table
from .scatter import Point, scatter_svg

__all__ = [
    "Cell",
    "Point",
    "box",
    "command_box",
    "embed_png",
    "heading",
    "number",
    "page",
    "paragraph",
    "picture",
    "plots",
    "scatter_svg",
    "table",
]
